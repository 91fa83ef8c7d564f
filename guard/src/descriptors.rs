//! The few parts of a descriptor set that hold access rules.
//!
//! `prost_types` drops extensions, and with them the rules, so these messages name only what is
//! needed, and the rule (extension 50701 of MethodOptions) as a member.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct FileDescriptorSet {
    #[prost(message, repeated, tag = "1")]
    pub(crate) file: Vec<FileDescriptorProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct FileDescriptorProto {
    #[prost(string, tag = "2")]
    pub(crate) package: String,
    #[prost(message, repeated, tag = "6")]
    pub(crate) service: Vec<ServiceDescriptorProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ServiceDescriptorProto {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, repeated, tag = "2")]
    pub(crate) method: Vec<MethodDescriptorProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MethodDescriptorProto {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "4")]
    pub(crate) options: Option<MethodOptions>,
    #[prost(bool, tag = "5")]
    pub(crate) client_streaming: bool,
    #[prost(bool, tag = "6")]
    pub(crate) server_streaming: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MethodOptions {
    /// Encoded [`AccessRule`]s: as bytes, so that members of a later version are noticed.
    #[prost(bytes = "vec", repeated, tag = "50701")]
    pub(crate) rule: Vec<Vec<u8>>,
}

/// `millgate.access.v1.AccessRule`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct AccessRule {
    #[prost(bool, tag = "1")]
    pub(crate) public: bool,
    #[prost(bool, tag = "2")]
    pub(crate) token_required: bool,
    #[prost(string, repeated, tag = "3")]
    pub(crate) role_required: Vec<String>,
    #[prost(string, tag = "4")]
    pub(crate) scope: String,
    #[prost(int32, tag = "5")]
    pub(crate) fresh_within: i32,
    #[prost(int32, tag = "6")]
    pub(crate) principal: i32,
}

impl AccessRule {
    /// The highest member number that this guard understands.
    pub(crate) const HIGHEST_MEMBER: u32 = 6;
}
