package servertest

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
)

// Ports are taken in turn, from a random place on, below those that a system
// gives to outgoing connections: one of these could take a free port before its
// server does.
const firstPort, lastPort = 10_000, 18_000

var portsTaken atomic.Uint32

func init() { portsTaken.Store(rand.Uint32N(lastPort - firstPort)) }

// freePorts are ports nobody listens on now. Until the test has ended, nobody else
// who asks here gets them, in whatever process.
func freePorts(t testing.TB, count int) []int {
	t.Helper()
	var ports []int
	for range lastPort - firstPort {
		port := firstPort + int(portsTaken.Add(1)%(lastPort-firstPort))
		claim := claim(port)
		if claim == nil {
			continue
		}
		if !free("127.0.0.1", port) || !free("::1", port) {
			_ = claim.Close()
			continue
		}
		t.Cleanup(func() { _ = claim.Close() })
		ports = append(ports, port)
		if len(ports) == count {
			return ports
		}
	}
	t.Fatal("no free ports")
	return nil
}

// claim takes the port of the same number that nobody wants, UDP's, as a sign: tests
// of another package, which run beside these, could otherwise find a port free before
// its server listens, or hold it in that moment to see whether it is. Nil where
// somebody else has claimed it.
func claim(port int) net.PacketConn {
	taken, err := net.ListenPacket("udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil
	}
	return taken
}

// free: an address that the machine does not have is no hindrance.
func free(host string, port int) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return !errors.Is(err, syscall.EADDRINUSE)
	}
	return listener.Close() == nil
}
