//! Which methods are unary and which stream, by their path.

use std::collections::HashMap;

use prost::{DecodeError, Message as _};
use prost_types::FileDescriptorSet;

/// The shape of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    /// The caller sends a stream of messages.
    pub client_streams: bool,
    /// The server answers with a stream of messages.
    pub server_streams: bool,
}

impl Kind {
    pub(super) const UNARY: Self = Self {
        client_streams: false,
        server_streams: false,
    };

    /// One message in and one out.
    pub(super) fn is_unary(self) -> bool {
        self == Self::UNARY
    }
}

/// The shape of every method of a server.
#[derive(Debug)]
pub(super) struct Kinds(HashMap<String, Kind>);

impl Kinds {
    /// From the contract's descriptor set, together with the services that every server has.
    pub(super) fn of(descriptors: &[u8]) -> Result<Self, DecodeError> {
        let mut kinds = HashMap::new();
        for encoded in [
            descriptors,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ] {
            for file in FileDescriptorSet::decode(encoded)?.file {
                let package = file.package();
                for service in &file.service {
                    for method in &service.method {
                        let dot = if package.is_empty() { "" } else { "." };
                        let path = format!("/{package}{dot}{}/{}", service.name(), method.name());
                        kinds.insert(
                            path,
                            Kind {
                                client_streams: method.client_streaming(),
                                server_streams: method.server_streaming(),
                            },
                        );
                    }
                }
            }
        }
        Ok(Self(kinds))
    }

    /// The shape of the method at this path, if there is one.
    pub(super) fn get(&self, path: &str) -> Option<Kind> {
        self.0.get(path).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_services_are_known_by_their_shape() {
        let kinds = Kinds::of(&[]).expect("readable");
        assert_eq!(kinds.get("/grpc.health.v1.Health/Check"), Some(Kind::UNARY));
        let watch = kinds.get("/grpc.health.v1.Health/Watch").expect("known");
        assert!(watch.server_streams && !watch.client_streams);
        assert_eq!(kinds.get("/no.such/Method"), None);
    }
}
