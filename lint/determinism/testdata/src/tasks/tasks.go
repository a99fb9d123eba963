// Package tasks uses Go's own concurrency.
package tasks

import (
	"iter"
	"reflect"
	"runtime"
)

func goes() {
	go func() {}() // want `go statement: start the task through the host`
}

func channels(c chan int, in <-chan int, out chan<- int) {
	out <- 1      // want `channel send`
	<-in          // want `channel receive`
	v, ok := <-in // want `channel receive`
	_, _ = v, ok  //
	for range c { // want `range over a channel`
	} //
	close(c)                       // want `close of a channel`
	d := make(chan struct{})       // want `make of a channel`
	e := make(chan int, 3)         // want `make of a channel`
	_, _ = d, e                    //
	f := func() int { return <-c } // want `channel receive`
	_ = f
}

type queue chan int

func named() queue { return make(queue) } // want `make of a channel`

func generic[C ~chan int](c C) {
	for range c { // want `range over a channel`
	}
}

func selects(a, b chan int) {
	select { // want `select: wait for an event of the host's clock`
	case <-a:
	case b <- 1:
	case v, ok := <-b:
		_, _ = v, ok
		<-a // want `channel receive`
	default:
	}
	select {} // want `select`
}

func coroutines(s iter.Seq[int], t iter.Seq2[int, int]) {
	_, _ = iter.Pull(s)  // want `iter\.Pull`
	_, _ = iter.Pull2(t) // want `iter\.Pull2`
}

func scheduler(p *int) {
	runtime.Gosched()              // want `runtime\.Gosched`
	_ = runtime.NumGoroutine()     // want `runtime\.NumGoroutine`
	_ = runtime.NumCPU()           // want `runtime\.NumCPU`
	runtime.GOMAXPROCS(1)          // want `runtime\.GOMAXPROCS`
	runtime.GC()                   // want `runtime\.GC`
	runtime.SetFinalizer(p, nil)   // want `runtime\.SetFinalizer`
	runtime.LockOSThread()         // want `runtime\.LockOSThread`
	defer runtime.Goexit()         // want `runtime\.Goexit`
	_, _, _, _ = runtime.Caller(0) // where the code stands is the same in each run
}

func reflected(v reflect.Value) {
	_, _, _ = reflect.Select(nil)     // want `reflect\.Select`
	_ = reflect.MakeChan(v.Type(), 0) // want `reflect\.MakeChan`
	v.Send(v)                         // want `reflect\.Value\.Send`
	_, _ = v.Recv()                   // want `reflect\.Value\.Recv`
	v.Close()                         // want `reflect\.Value\.Close`
	_ = v.Len()
}

// A function of the package named close is no channel operation.
func shadow() {
	close := func(int) {}
	close(1)
}

// Iterators without coroutines are fine.
func pushes(s iter.Seq[int]) (n int) {
	for v := range s {
		n += v
	}
	return n
}
