//! Evidence that the guard has run: a handler takes one of these instead of a bare request.

use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Status};

use crate::caller::Caller;
use crate::refusal::Refusal;

/// What the guard found, in the extensions of a request that it let pass. Nobody outside of this
/// crate can name it, so a [`Caller`] put there by somebody else proves nothing.
#[derive(Clone)]
pub(crate) enum Pass {
    /// The method is public.
    Public,
    /// The caller may call the method.
    Admitted(Caller),
}

/// A request that the guard admitted, with its verified caller.
///
/// There is no other way to make one, and the guard's word is good for one: code that takes an
/// `Admitted` cannot be reached past the guard.
#[derive(Debug)]
pub struct Admitted<T> {
    /// Who is calling.
    pub caller: Caller,
    /// The request's message.
    pub message: T,
    /// The request's metadata.
    pub metadata: MetadataMap,
    /// The request's extensions.
    pub extensions: Extensions,
    _only_of: Evidence,
}

/// A request to a public method, which the guard has seen: the token, if any, was not looked at.
#[derive(Debug)]
pub struct Anyone<T> {
    /// The request's message.
    pub message: T,
    /// The request's metadata.
    pub metadata: MetadataMap,
    /// The request's extensions.
    pub extensions: Extensions,
    _only_of: Evidence,
}

#[derive(Debug)]
struct Evidence;

impl<T> Admitted<T> {
    /// Takes a request apart, if the guard admitted it.
    ///
    /// # Errors
    /// POLICY_MISSING when the guard did not run, or the method is public and so has no caller.
    pub fn of(request: Request<T>) -> Result<Self, Status> {
        let (metadata, mut extensions, message) = request.into_parts();
        match extensions.remove::<Pass>() {
            Some(Pass::Admitted(caller)) => Ok(Self {
                caller,
                message,
                metadata,
                extensions,
                _only_of: Evidence,
            }),
            _ => Err(Refusal::PolicyMissing.into()),
        }
    }
}

impl<T> Anyone<T> {
    /// Takes a request to a public method apart, if the guard let it pass.
    ///
    /// # Errors
    /// POLICY_MISSING when the guard did not run, or the method is not public.
    pub fn of(request: Request<T>) -> Result<Self, Status> {
        let (metadata, mut extensions, message) = request.into_parts();
        match extensions.remove::<Pass>() {
            Some(Pass::Public) => Ok(Self {
                message,
                metadata,
                extensions,
                _only_of: Evidence,
            }),
            _ => Err(Refusal::PolicyMissing.into()),
        }
    }
}
