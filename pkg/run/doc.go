// Package run starts and stops the parts of a process.
//
//	     start, in order            stop, in reverse
//	log ─▶ bus ─▶ gateway ─▶ http     http ─▶ gateway ─▶ bus ─▶ log
//	       each after the one         each within its own deadline,
//	       before is ready            whatever happened to the others
//
// A part that fails stops all; a part that panics fails. Main turns signals into
// a cancelled context and errors into an exit code.
package run
