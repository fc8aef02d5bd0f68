package outbox

// Look takes up what is on the disk.
func (o *Outbox) Look() error { return o.look() }

// Queued is how many stand in the queue.
func (o *Outbox) Queued() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.line)
}
