//! The handlers. Each takes the guard's evidence in place of the bare request.

use std::sync::{Mutex, MutexGuard, PoisonError};

use millgate_guard::{Admitted, Anyone, Guard, pass_on};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

/// The generated code.
pub(crate) mod generated {
    #![allow(missing_docs, unreachable_pub, reason = "generated")]
    include!(concat!(env!("OUT_DIR"), "/services.rs"));
}
pub(crate) use generated::notes::v1 as pb;

/// The rules of the methods, as the proto has them.
pub(crate) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// A client of the same service elsewhere.
pub(crate) type Archive = pb::note_service_client::NoteServiceClient<Channel>;

/// A board in memory.
pub(crate) struct Board {
    guard: Guard,
    /// Where every note is written as well, by its own author.
    archive: Option<Archive>,
    notes: Mutex<Vec<pb::Note>>,
}

impl Board {
    pub(crate) fn new(guard: Guard, archive: Option<Archive>) -> Self {
        let notes = Mutex::default();
        Self {
            guard,
            archive,
            notes,
        }
    }

    fn notes(&self) -> MutexGuard<'_, Vec<pb::Note>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self, greeting: &str) -> Response<pb::Board> {
        Response::new(pb::Board {
            greeting: greeting.to_owned(),
            notes: self.notes().clone(),
        })
    }
}

#[tonic::async_trait]
impl pb::note_service_server::NoteService for Board {
    async fn read_board(
        &self,
        request: Request<pb::ReadBoardRequest>,
    ) -> Result<Response<pb::Board>, Status> {
        let Anyone { metadata, .. } = Anyone::of(request)?;
        // A token is optional here; one that is sent must be good.
        let caller = self.guard.optional_caller(&metadata)?;
        let name = caller.map_or("stranger".to_owned(), |caller| caller.key());
        Ok(self.shown(&format!("hello, {name}")))
    }

    async fn write_note(
        &self,
        request: Request<pb::WriteNoteRequest>,
    ) -> Result<Response<pb::Note>, Status> {
        let Admitted {
            caller,
            message,
            metadata,
            ..
        } = Admitted::of(request)?;
        if let Some(mut archive) = self.archive.clone() {
            // The next service sees the same caller, and decides by its own rules.
            let mut request = Request::new(message.clone());
            pass_on(&metadata, &mut request);
            archive.write_note(request).await?;
        }
        let note = pb::Note {
            author: caller.key(),
            text: message.text,
        };
        self.notes().push(note.clone());
        Ok(Response::new(note))
    }

    async fn clear_board(
        &self,
        request: Request<pb::ClearBoardRequest>,
    ) -> Result<Response<pb::Board>, Status> {
        let Admitted { .. } = Admitted::of(request)?;
        self.notes().clear();
        Ok(self.shown("an empty board"))
    }
}
