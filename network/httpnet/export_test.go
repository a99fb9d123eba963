package httpnet

// InFlight returns the number of requests being served.
func (n *Net) InFlight() int64 { return n.inFlight.Load() }
