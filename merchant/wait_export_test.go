package merchant

// ReadWait is readWait.
var ReadWait = readWait
