//! What is no good request. Each of these is answered otherwise by plain tonic (FACTS.md).

use futures::{StreamExt as _, stream};
use tonic::Code;

use crate::workshop::{
    Workshop,
    call::{Call, call, framed, message},
};

fn malformed() -> (Code, String) {
    (Code::InvalidArgument, "MESSAGE_MALFORMED".to_owned())
}

#[tokio::test]
async fn bytes_that_are_no_message_are_malformed_and_the_decoders_text_stays_inside() {
    let workshop = Workshop::open().await;
    for bytes in [
        &[0xff, 0xff, 0xff][..],
        &[0x0a, 0x05, b'a'],
        &[0x0a, 0x02, 0xff, 0xfe],
        &[0x08, 0x01, 0x0b],
        &[0x0a],
    ] {
        let answer = Call::of("Ask", vec![framed(bytes)])
            .to(workshop.address)
            .await;
        assert_eq!(answer.refusal(), malformed(), "{bytes:?}");
        for inside in ["Protobuf", "Note", "wire", "UTF-8", "varint"] {
            assert!(
                !answer.status.message().contains(inside),
                "{:?}",
                answer.status
            );
        }
    }
    assert_eq!(workshop.finished(), 0);
}

#[tokio::test]
async fn a_unary_call_without_a_message_or_with_two_is_malformed() {
    let workshop = Workshop::open().await;
    let (one, nothing) = (message("a"), Vec::new());
    for pieces in [
        vec![],
        vec![nothing],
        vec![one.clone(), one.clone()],
        vec![[one.clone(), one.clone()].concat()],
        vec![one.clone(), vec![0]],
        vec![one[..3].to_vec()],
        vec![one[..6].to_vec()],
    ] {
        let answer = Call::of("Ask", pieces.clone()).to(workshop.address).await;
        assert_eq!(answer.refusal(), malformed(), "{pieces:?}");
    }
    assert_eq!(workshop.finished(), 0, "no handler ran");
    let twice = Call::of("Watch", vec![one.clone(), one])
        .to(workshop.address)
        .await;
    assert_eq!(
        twice.refusal(),
        malformed(),
        "a server stream takes one message too"
    );
}

#[tokio::test]
async fn a_client_stream_takes_any_number_of_messages() {
    let workshop = Workshop::open().await;
    for count in [0usize, 1, 5] {
        let pieces = vec![message("a"); count];
        let answer = Call::of("Gather", pieces).to(workshop.address).await;
        assert_eq!(answer.text(), count.to_string());
    }
    let broken = Call::of("Gather", vec![message("a"), vec![0, 0]])
        .to(workshop.address)
        .await;
    assert_eq!(broken.refusal(), malformed());
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_before_it_is_sent() {
    let workshop = Workshop::open().await;
    let limit = 4 * 1024 * 1024;
    let whole = Call::of("Ask", vec![framed(&vec![0; limit + 1])])
        .to(workshop.address)
        .await;
    let too_large = (Code::ResourceExhausted, "MESSAGE_TOO_LARGE".to_owned());
    assert_eq!(whole.refusal(), too_large);
    // Its length alone is enough; the rest never comes.
    let announced = vec![0, 0xff, 0xff, 0xff, 0xff];
    let frames = stream::iter([Ok(http_body::Frame::data(announced.into()))]);
    let answer = Call::streaming("Ask", frames.chain(stream::pending()).boxed())
        .to(workshop.address)
        .await;
    assert_eq!(answer.refusal(), too_large);
    let largest = call("Ask", &"x".repeat(limit - 10))
        .to(workshop.address)
        .await;
    assert_eq!(largest.text().len(), limit - 10);
}

#[tokio::test]
async fn compression_that_nobody_speaks_is_refused_by_name() {
    let workshop = Workshop::open().await;
    let mut compressed = message("a");
    compressed[0] = 1;
    let answer = Call::of("Ask", vec![compressed.clone()])
        .with("grpc-encoding", "gzip")
        .to(workshop.address)
        .await;
    assert_eq!(
        answer.refusal(),
        (Code::Unimplemented, "ENCODING_UNSUPPORTED".to_owned())
    );
    let unsaid = Call::of("Ask", vec![compressed]).to(workshop.address).await;
    assert_eq!(unsaid.refusal(), malformed());
}

#[tokio::test]
async fn a_handler_that_panics_or_breaks_tells_nothing_and_the_server_lives_on() {
    let workshop = Workshop::open().await;
    for order in ["panic hunter2", "unknown hunter2", "fault hunter2"] {
        let answer = call("Ask", order)
            .with("x-request-id", "id-7")
            .to(workshop.address)
            .await;
        assert_eq!(
            answer.refusal(),
            (Code::Internal, "INTERNAL".to_owned()),
            "{order}"
        );
        assert_eq!(answer.status.message(), "internal error");
        assert!(!format!("{answer:?}").contains("hunter2"));
        let info = tonic_types::StatusExt::get_details_error_info(&answer.status).expect("info");
        assert_eq!(info.metadata["request_id"], "id-7", "{order}");
        assert_eq!(answer.request_id(), "id-7");
    }
    let stream = call("Watch", "panic").to(workshop.address).await;
    assert_eq!(stream.refusal(), (Code::Internal, "INTERNAL".to_owned()));
    assert_eq!(
        call("Ask", "still here").to(workshop.address).await.text(),
        "still here"
    );
}

#[tokio::test]
async fn a_status_of_a_handler_arrives_as_it_is() {
    let workshop = Workshop::open().await;
    let answer = call("Ask", "taken sprocket").to(workshop.address).await;
    assert_eq!(
        answer.refusal(),
        (Code::AlreadyExists, "SKU_TAKEN".to_owned())
    );
    assert_eq!(answer.status.message(), "sprocket");
}

#[tokio::test]
async fn bad_headers_never_reach_a_handler_nor_break_the_server() {
    let workshop = Workshop::open().await;
    let answer = call("Ask", "trace")
        .with("x-request-id", "a b\"c")
        .with("traceparent", "00-zz")
        .to(workshop.address)
        .await;
    let text = answer.text();
    let (id, trace) = text.split_once(' ').expect("both");
    assert_eq!((id.len(), trace.len()), (36, 32));
    assert_eq!(answer.request_id(), id);
}
