//! What goes through the pipes: `length u32 | kind u8 | id u64 | code u32 | body`, little-endian; `length`
//! counts what follows it.

use std::io::{self, Read, Write};

use bedside_plugin_api::abi::MAX_MESSAGE;

/// Bytes before the body.
pub const HEADER: usize = 4 + REST;
const REST: usize = 1 + 8 + 4;

/// One message in either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: FrameKind,
    /// Answers carry the id of their question.
    pub id: u64,
    /// A hook, an op, a status or a log level, by kind.
    pub code: u32,
    pub body: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// To the runner, first of all: a [`crate::RunnerSetup`].
    Setup = 1,
    /// From the runner, before the plugin is loaded: a [`crate::RunnerHello`].
    Hello = 2,
    /// From the runner: `create` ended with this status; the body says why if it failed.
    Created = 3,
    /// To the plugin; the code is the hook.
    Request = 4,
    /// From the plugin; the code is the status.
    Response = 5,
    /// From the plugin, a call of the host; the code is the op.
    SubRequest = 6,
    /// To the plugin; the code is the status.
    SubResponse = 7,
    /// From the plugin; the code is the level.
    Log = 8,
    /// To the runner: end the plugin, then yourself.
    Destroy = 9,
    /// From the runner: the plugin was destroyed.
    Destroyed = 10,
}

/// Why a stream of frames cannot be read any further.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("the other side closed the pipe")]
    Closed,
    #[error("a frame of {0} bytes, at least {REST} and at most {max} are allowed", max = REST + MAX_MESSAGE)]
    Length(usize),
    #[error("a frame of unknown kind {0}")]
    Kind(u8),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Frame {
    #[must_use]
    pub fn new(kind: FrameKind, id: u64, code: u32, body: Vec<u8>) -> Self {
        Self { kind, id, code, body }
    }

    /// What goes before the body.
    #[must_use]
    pub fn header(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        let length = u32::try_from(REST + self.body.len()).unwrap_or(u32::MAX);
        out[0..4].copy_from_slice(&length.to_le_bytes());
        out[4] = self.kind as u8;
        out[5..13].copy_from_slice(&self.id.to_le_bytes());
        out[13..17].copy_from_slice(&self.code.to_le_bytes());
        out
    }

    /// Reads a header; the body has yet to be read, and is zeroed to its full length.
    ///
    /// # Errors
    /// [`FrameError::Length`] and [`FrameError::Kind`]: whatever follows has no meaning.
    pub fn from_header(header: &[u8; HEADER]) -> Result<Self, FrameError> {
        let [l0, l1, l2, l3, kind, id @ .., c0, c1, c2, c3] = *header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if !(REST..=REST + MAX_MESSAGE).contains(&length) {
            return Err(FrameError::Length(length));
        }
        let kind = FrameKind::from_number(kind).ok_or(FrameError::Kind(kind))?;
        let code = u32::from_le_bytes([c0, c1, c2, c3]);
        Ok(Self {
            kind,
            id: u64::from_le_bytes(id),
            code,
            body: vec![0; length - REST],
        })
    }

    /// # Errors
    /// [`FrameError`]; [`FrameError::Closed`] only between two frames.
    pub fn read(from: &mut impl Read) -> Result<Self, FrameError> {
        let mut header = [0; HEADER];
        let (first, rest) = header.split_at_mut(1);
        loop {
            match from.read(first) {
                Ok(0) => return Err(FrameError::Closed),
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        from.read_exact(rest)?;
        let mut frame = Self::from_header(&header)?;
        from.read_exact(&mut frame.body)?;
        Ok(frame)
    }

    /// # Errors
    /// [`io::Error`]; also if the body is longer than the other side takes.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        if self.body.len() > MAX_MESSAGE {
            return Err(io::Error::other("the body is longer than 8 MiB"));
        }
        // One write for what is small: each is a system call.
        if self.body.len() <= 64 * 1024 {
            return to.write_all(&[&self.header()[..], &self.body].concat());
        }
        to.write_all(&self.header())?;
        to.write_all(&self.body)
    }
}

impl FrameKind {
    const ALL: [Self; 10] = [
        Self::Setup,
        Self::Hello,
        Self::Created,
        Self::Request,
        Self::Response,
        Self::SubRequest,
        Self::SubResponse,
        Self::Log,
        Self::Destroy,
        Self::Destroyed,
    ];

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|it| *it as u8 == number)
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, FrameError, FrameKind, HEADER, REST};

    #[test]
    fn frames_read_as_they_were_written() {
        let frames = [
            Frame::new(FrameKind::Request, u64::MAX, 7, b"{}".to_vec()),
            Frame::new(FrameKind::Destroy, 0, 0, Vec::new()),
            Frame::new(FrameKind::Response, 3, u32::MAX, vec![7; 100_000]),
        ];
        let mut bytes = Vec::new();
        for frame in &frames {
            frame.write(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        for frame in frames {
            assert_eq!(Frame::read(&mut rest).unwrap(), frame);
        }
        assert!(matches!(Frame::read(&mut rest), Err(FrameError::Closed)));
    }

    #[test]
    fn malformed_frames_are_refused_before_memory_is_taken() {
        let check = |change: fn(&mut [u8; HEADER]), expect: &str| {
            let mut header = Frame::new(FrameKind::Log, 1, 1, Vec::new()).header();
            change(&mut header);
            let problem = Frame::read(&mut header.as_slice()).unwrap_err().to_string();
            assert!(problem.contains(expect), "{problem}");
        };
        check(
            |it| it[0..4].copy_from_slice(&u32::MAX.to_le_bytes()),
            "4294967295 bytes",
        );
        check(|it| it[0] = 0, "0 bytes");
        check(|it| it[0] = REST as u8 - 1, "at least 13");
        check(|it| it[4] = 0, "unknown kind 0");
        check(|it| it[0] += 1, "fill whole buffer");
    }

    #[test]
    fn any_bytes_end_in_frames_or_an_error() {
        // A cheap generator: no bytes may panic or ask for more than the cap.
        let mut seed = 1_u64;
        for _ in 0..2000 {
            let bytes: Vec<u8> = (0..40)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (seed >> 56) as u8 & 0x1f
                })
                .collect();
            let mut rest = bytes.as_slice();
            while Frame::read(&mut rest).is_ok() {}
        }
    }
}
