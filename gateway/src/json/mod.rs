//! JSON to protobuf message and back, by the proto3 JSON mapping, strict on the way in.

mod any;
mod decode;
mod encode;
mod reader;
mod scalar;
mod struct_value;
mod wellknown;

pub use decode::{Target, decode};
pub use encode::{encode, encode_field};
pub use scalar::from_text;
pub use wellknown::{from_text as well_known_from_text, is_told_as_text};
