package apply

// Plain makes r do without what only some systems have.
func (r *Root) Plain() { r.plain = true }
