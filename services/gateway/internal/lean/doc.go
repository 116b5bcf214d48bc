// Package lean lets coder/websocket do the handshake, the reading and the control
// frames of a WebSocket, on buffers an eighth of what net/http gives, while data
// frames, encoded once for everybody, go past it to the same socket.
//
// A write that the socket takes at once, which nearly every one is, costs one system
// call and no deadline; who must not wait for a client offers frames, and is told
// what is left.
package lean
