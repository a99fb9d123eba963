package registrytest

import "testing"

func BenchmarkClaimsOnMemory(b *testing.B) { Claims(b, onMemory) }

func BenchmarkHerdOnMemory(b *testing.B) { Herd(b, onMemory, 256) }
