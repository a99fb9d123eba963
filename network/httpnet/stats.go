package httpnet

// Stats are sizes of what a net serves, and counts since its start.
type Stats struct {
	Connections int // open
	InFlight    int // requests under way

	Served          uint64 // requests that reached a handler
	Failed          uint64 // of them, those whose handler returned an error or panicked
	Unauthenticated uint64 // requests that Options.Authorize refused
	Busy            uint64 // requests refused over Options.MaxInFlight
	TooLarge        uint64 // requests over Options.MaxRequest
	Broken          uint64 // requests that were malformed, too slow or cut off
	Nowhere         uint64 // requests for a path or a method that nobody serves
	Evicted         uint64 // connections that made room for others, or found none
}

// Stats returns the sizes of what the net serves, and its counts.
func (n *Net) Stats() Stats {
	total := n.complaints.total
	return Stats{
		Connections: n.connections.count(), InFlight: int(n.inFlight.Load()),
		Served: n.served.Load(), Failed: total(complainHandler), // after a panic, too
		Unauthenticated: total(complainAuthorize), Busy: total(complainBusy), TooLarge: total(complainTooLarge),
		Broken: total(complainHeader) + total(complainBody), Nowhere: total(complainNowhere),
		Evicted: total(complainEvicted) + total(complainConnections),
	}
}
