// Package realside has a file that belongs to the real side.
//
//determinism:real it implements the port on the machine
package realside

import "time"

func Now() time.Time { return time.Now() }

func Sleep() { time.Sleep(1) } //determinism:allow a line may still say why // it is the finer one
