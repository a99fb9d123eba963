package determinism

import (
	"go/ast"
	"go/constant"
	"go/types"
	"strconv"
	"strings"
)

// forbiddenImports maps an import path to what to use instead. A path that ends
// in "/..." stands for itself and everything below it.
var forbiddenImports = map[string]string{
	"C":                     "the outside world is not simulated",
	"crypto/rand":           "take random numbers from the host",
	"golang.org/x/net/...":  "take the network from the host",
	"golang.org/x/sync/...": "it starts goroutines; take tasks from the host",
	"golang.org/x/sys/...":  "the outside world is not simulated",
	"hash/maphash":          "its seeds differ from run to run",
	"io/ioutil":             "the outside world is not simulated",
	"net/...":               "take the network from the host",
	"os/...":                "the outside world is not simulated",
	"plugin":                "the outside world is not simulated",
	"syscall/...":           "the outside world is not simulated",
	"testing/synctest":      "it does not choose interleavings; use package sim",
	"weak":                  "it shows when the collector ran",
}

// pureImports are exceptions below a forbidden tree.
var pureImports = map[string]bool{"net/netip": true, "net/url": true}

// forbiddenObjects maps functions, types and methods ("path.Name" and
// "path.Type.Method") to what to use instead.
var forbiddenObjects = map[string]string{
	"time.Now":       "read the host's clock",
	"time.Since":     "read the host's clock",
	"time.Until":     "read the host's clock",
	"time.Sleep":     "sleep on the host's clock",
	"time.After":     "wait on the host's clock",
	"time.AfterFunc": "wait on the host's clock",
	"time.NewTimer":  "wait on the host's clock",
	"time.NewTicker": "wait on the host's clock",
	"time.Tick":      "wait on the host's clock",

	"context.WithCancel":        "derive the context from the host's clock",
	"context.WithCancelCause":   "derive the context from the host's clock",
	"context.WithTimeout":       "derive the context from the host's clock",
	"context.WithTimeoutCause":  "derive the context from the host's clock",
	"context.WithDeadline":      "derive the context from the host's clock",
	"context.WithDeadlineCause": "derive the context from the host's clock",
	"context.AfterFunc":         "it starts a goroutine; wait in a task of the host",

	"sync.Cond":      "use clock.Cond",
	"sync.NewCond":   "use clock.Cond",
	"sync.WaitGroup": "wait for an event of the host's clock",
	"sync.Map.Range": "it shows an order that differs from run to run",

	"iter.Pull":  "it starts a coroutine that the simulator does not schedule",
	"iter.Pull2": "it starts a coroutine that the simulator does not schedule",

	"reflect.MakeChan":            "channels are not simulated",
	"reflect.Select":              "channels are not simulated",
	"reflect.Value.Close":         "channels are not simulated",
	"reflect.Value.Recv":          "channels are not simulated",
	"reflect.Value.Send":          "channels are not simulated",
	"reflect.Value.TryRecv":       "channels are not simulated",
	"reflect.Value.TrySend":       "channels are not simulated",
	"reflect.Value.MapKeys":       "it shows the order of a map",
	"reflect.Value.MapRange":      "it shows the order of a map",
	"reflect.Value.Seq":           "it may show the order of a map",
	"reflect.Value.Seq2":          "it may show the order of a map",
	"reflect.Value.Pointer":       "addresses differ from run to run",
	"reflect.Value.UnsafeAddr":    "addresses differ from run to run",
	"reflect.Value.UnsafePointer": "addresses differ from run to run",

	"path/filepath.Abs":          "the outside world is not simulated",
	"path/filepath.EvalSymlinks": "the outside world is not simulated",
	"path/filepath.Glob":         "the outside world is not simulated",
	"path/filepath.Walk":         "the outside world is not simulated",
	"path/filepath.WalkDir":      "the outside world is not simulated",

	"runtime.AddCleanup":     "it shows when the collector ran",
	"runtime.GC":             "the scheduler and the collector are not simulated",
	"runtime.GOMAXPROCS":     "the scheduler and the collector are not simulated",
	"runtime.Goexit":         "the scheduler and the collector are not simulated",
	"runtime.Gosched":        "the scheduler and the collector are not simulated; yield to the host",
	"runtime.LockOSThread":   "the scheduler and the collector are not simulated",
	"runtime.NumCPU":         "the scheduler and the collector are not simulated",
	"runtime.NumGoroutine":   "the scheduler and the collector are not simulated",
	"runtime.ReadMemStats":   "the scheduler and the collector are not simulated",
	"runtime.SetFinalizer":   "it shows when the collector ran",
	"runtime.UnlockOSThread": "the scheduler and the collector are not simulated",
}

// forbiddenMethods are types all of whose methods are forbidden, for values
// that come from a package that the analyzer does not see.
var forbiddenMethods = map[string]string{
	"sync.Cond":      "use clock.Cond",
	"sync.WaitGroup": "wait for an event of the host's clock",
}

// seededRand are the functions of math/rand and math/rand/v2 that draw nothing
// from the global source.
var seededRand = map[string]bool{
	"New": true, "NewSource": true, "NewZipf": true, "NewPCG": true, "NewChaCha8": true,
}

func (c *check) imports(file *ast.File) {
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil || pureImports[path] {
			continue
		}
		if why, ok := forbiddenImport(path); ok {
			c.report(spec, "import of "+path+": "+why)
		}
	}
	for _, group := range file.Comments {
		for _, comment := range group.List {
			if strings.HasPrefix(comment.Text, "//go:linkname ") {
				c.report(comment, "go:linkname reaches around the rules of determinism")
			}
		}
	}
}

func forbiddenImport(path string) (why string, ok bool) {
	if why, ok = forbiddenImports[path]; ok {
		return why, true
	}
	for tree := path; ; {
		if why, ok = forbiddenImports[tree+"/..."]; ok {
			return why, true
		}
		i := strings.LastIndexByte(tree, '/')
		if i < 0 {
			return "", false
		}
		tree = tree[:i]
	}
}

// uses reports every mention of a forbidden object, called or not.
func (c *check) uses(file *ast.File) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			if name, why, ok := forbiddenObject(c.pass.TypesInfo.Uses[n]); ok {
				c.report(n, name+": "+why)
			}
		case *ast.CallExpr:
			c.addresses(n)
		}
		return true
	})
}

// forbiddenObject says whether an object must not be used, and why.
func forbiddenObject(obj types.Object) (name, why string, ok bool) {
	switch obj := obj.(type) {
	case *types.Func:
		name := objectName(obj)
		if why, ok := forbiddenObjects[name]; ok {
			return name, why, true
		}
		if i := strings.LastIndexByte(name, '.'); i > 0 {
			if why, ok := forbiddenMethods[name[:i]]; ok {
				return name, why, true
			}
		}
		path := obj.Pkg()
		if path != nil && isFunction(obj) && (path.Path() == "math/rand" || path.Path() == "math/rand/v2") && !seededRand[obj.Name()] {
			return name, "it draws from the global source; take random numbers from the host", true
		}
	case *types.TypeName:
		named, isNamed := types.Unalias(obj.Type()).(*types.Named)
		if !isNamed {
			return "", "", false
		}
		name := objectName(named.Obj())
		why, ok := forbiddenObjects[name]
		return name, why, ok
	}
	return "", "", false
}

func isFunction(f *types.Func) bool {
	return f.Signature().Recv() == nil
}

// objectName returns "path.Name", or "path.Type.Method" for a method.
func objectName(obj types.Object) string {
	if obj == nil || obj.Pkg() == nil {
		return ""
	}
	prefix := obj.Pkg().Path() + "."
	if f, ok := obj.(*types.Func); ok && !isFunction(f) {
		recv := types.Unalias(f.Signature().Recv().Type())
		if p, ok := recv.(*types.Pointer); ok {
			recv = types.Unalias(p.Elem())
		}
		if named, ok := recv.(*types.Named); ok {
			prefix += named.Obj().Name() + "."
		}
	}
	return prefix + obj.Name()
}

// addresses reports a pointer that becomes a number or text.
func (c *check) addresses(call *ast.CallExpr) {
	info := c.pass.TypesInfo
	fun := info.Types[call.Fun]
	if fun.IsType() && len(call.Args) == 1 {
		to, okTo := fun.Type.Underlying().(*types.Basic)
		from, okFrom := info.TypeOf(call.Args[0]).Underlying().(*types.Basic)
		if okTo && okFrom && to.Kind() == types.Uintptr && from.Kind() == types.UnsafePointer {
			c.report(call, "a pointer turned into a number: addresses differ from run to run")
		}
		return
	}
	callee, ok := calleeOf(info, call)
	if !ok || callee.Pkg() == nil || callee.Pkg().Path() != "fmt" {
		return
	}
	for _, arg := range call.Args {
		v := info.Types[arg].Value
		if v != nil && v.Kind() == constant.String && strings.Contains(constant.StringVal(v), "%p") {
			c.report(arg, "%p prints an address, which differs from run to run")
		}
	}
}

// calleeOf returns the function or method that a call names.
func calleeOf(info *types.Info, call *ast.CallExpr) (*types.Func, bool) {
	fun := ast.Unparen(call.Fun)
	switch f := fun.(type) {
	case *ast.IndexExpr:
		fun = f.X
	case *ast.IndexListExpr:
		fun = f.X
	}
	var id *ast.Ident
	switch f := fun.(type) {
	case *ast.Ident:
		id = f
	case *ast.SelectorExpr:
		id = f.Sel
	default:
		return nil, false
	}
	f, ok := info.Uses[id].(*types.Func)
	return f, ok
}
