// Package addresses makes decisions out of addresses.
package addresses

import (
	"fmt"
	"reflect"
	"unsafe"
)

const format = "at %p"

func numbers(p *int, v reflect.Value) {
	_ = uintptr(unsafe.Pointer(p)) // want `a pointer turned into a number`
	_ = v.Pointer()                // want `reflect\.Value\.Pointer`
	_ = v.UnsafePointer()          // want `reflect\.Value\.UnsafePointer`
	_ = v.UnsafeAddr()             // want `reflect\.Value\.UnsafeAddr`
	_ = fmt.Sprintf("%p", p)       // want `%p prints an address`
	_ = fmt.Errorf(format, p)      // want `%p prints an address`
	_ = fmt.Sprintf("%d %%", *p)
	_ = uintptr(3)
	_ = (*uint)(unsafe.Pointer(p))
}

func reflectedMaps(v reflect.Value) {
	_ = v.MapKeys()  // want `reflect\.Value\.MapKeys: it shows the order of a map`
	_ = v.MapRange() // want `reflect\.Value\.MapRange`
	_ = v.MapIndex(v)
}
