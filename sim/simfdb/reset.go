package simfdb

// reset is told that the connections to a process broke. A commit in flight has
// lost its connection; other requests go out again by themselves.
func (cl *Client) reset(peer string) (broken int) {
	for _, k := range cl.calls {
		if _, ok := k.body.(*commitRequest); ok && !k.done && k.server == peer {
			k.finish(connectionLost)
			broken++
		}
	}
	return broken
}
