//go:build !race

package binding

// slowdown is what the race detector multiplies the bounds of processor time by.
const slowdown = 1
