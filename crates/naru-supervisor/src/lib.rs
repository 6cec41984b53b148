//! The supervisor loop, the keeper and the control socket.
