//! Behaviour through real processes and protocols. One binary, many rooms.

mod floors;
