//! A codec for messages that are encoded already.

use std::marker::PhantomData;

use bytes::{BufMut, Bytes};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic_prost::ProstDecoder;

/// Sends bytes as they are, and decodes the reply as `R`. So a call is encoded once for all its
/// attempts.
pub(super) struct EncodedCodec<R>(PhantomData<R>);

impl<R> EncodedCodec<R> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<R: prost::Message + Default + 'static> Codec for EncodedCodec<R> {
    type Encode = Bytes;
    type Decode = R;
    type Encoder = VerbatimEncoder;
    type Decoder = ProstDecoder<R>;

    fn encoder(&mut self) -> VerbatimEncoder {
        VerbatimEncoder
    }

    fn decoder(&mut self) -> ProstDecoder<R> {
        ProstDecoder::new(BufferSettings::default())
    }
}

pub(super) struct VerbatimEncoder;

impl Encoder for VerbatimEncoder {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}
