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

// freePorts are ports nobody listens on now.
func freePorts(t testing.TB, count int) []int {
	t.Helper()
	var ports []int
	for range lastPort - firstPort {
		port := firstPort + int(portsTaken.Add(1)%(lastPort-firstPort))
		if free("127.0.0.1", port) && free("::1", port) {
			ports = append(ports, port)
		}
		if len(ports) == count {
			return ports
		}
	}
	t.Fatal("no free ports")
	return nil
}

// free: an address that the machine does not have is no hindrance.
func free(host string, port int) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return !errors.Is(err, syscall.EADDRINUSE)
	}
	return listener.Close() == nil
}
