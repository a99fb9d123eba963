// Package directives excuses findings, well and badly.
package directives

import "time"

func good() {
	time.Sleep(1) //determinism:allow the demonstration needs real time
	//determinism:allow the demonstration needs real time
	time.Sleep(1)
	//determinism:allow a reason may
	// go on over several lines
	time.Sleep(1)
	// The directive may come last.
	//determinism:allow the demonstration needs real time
	time.Sleep(1)
	time.Sleep(time.Since(time.Now()).Abs()) //determinism:allow one comment serves the whole line
	for range make(chan int) {               //determinism:allow the demonstration needs real time
	}
}

func bad() {
	time.Sleep(1) //determinism:allow // want `//determinism:allow without a reason`
	//determinism:allow // want `//determinism:allow without a reason`
	time.Sleep(1)
	time.Sleep(1)   //determinism:alow with a reason // want `unknown directive //determinism:alow` `time\.Sleep`
	time.Sleep(1)   // determinism:allow with a space // want `no space after the slashes` `time\.Sleep`
	_ = time.Second //determinism:allow nothing here // want `//determinism:allow suppresses nothing`
	//determinism:allow too far away // want `//determinism:allow suppresses nothing`

	time.Sleep(1) // want `time\.Sleep`
	time.Sleep(1) //determinism:allow a trailing comment does not reach down
	time.Sleep(1) // want `time\.Sleep`
	//determinism:allow one statement of several lines is judged line by line
	time.Sleep(
		time.Since(time.Time{}), // want `time\.Since`
	)
}

// Text in a string or inside a comment is no directive.
const text = "//determinism:allow"

/* //determinism:allow */
