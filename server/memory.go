package server

// GCPercent returns the value of GOGC that suits a server of a model whose file
// has the given size. Go's own, 100, lets the heap of a small model grow to
// 4 MiB and no further, and collects it hundreds of times a second under load.
// This one allows a garbage of 8 MiB beside such a model, and comes down to
// Go's own where the model itself is larger than that.
func GCPercent(modelBytes int64) int {
	const (
		garbage = 8 << 20
		server  = 4 << 20 // what is alive without a model
		copies  = 4       // of the file's bytes: the file, the program, what is known of it
	)
	alive := server + copies*modelBytes
	return int(min(max(100*garbage/alive, 100), 200))
}
