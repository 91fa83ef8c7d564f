//! QR codes of `otpauth` URIs: as an image for pages, as text for terminals.

use qrcode::render::unicode::Dense1x2;
use qrcode::{Color, EcLevel};

/// Pixels of a module's side.
const SCALE: usize = 6;
/// Light modules around the code (ISO/IEC 18004 asks for four).
const QUIET: usize = 4;

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub enum QrError {
    /// The text is longer than a code holds.
    #[error("the text does not fit a QR code")]
    TooLong(#[from] qrcode::types::QrError),
    /// The image could not be written.
    #[error("the QR code could not be written as an image")]
    Image(#[from] png::EncodingError),
}

/// A QR code. It shows what it was made of, so it is as secret as that.
pub struct Qr(qrcode::QrCode);

impl Qr {
    /// Of a text.
    ///
    /// # Errors
    /// When the text is too long.
    pub fn new(text: &str) -> Result<Self, QrError> {
        // Level M: what shines on a screen, or is printed, is seldom damaged.
        Ok(Self(qrcode::QrCode::with_error_correction_level(
            text,
            EcLevel::M,
        )?))
    }

    /// As a PNG image, black on white.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn png(&self) -> Result<Vec<u8>, QrError> {
        let modules = self.0.width() + 2 * QUIET;
        let side = modules * SCALE;
        let pixels: Vec<u8> = (0..side * side)
            .map(|pixel| (pixel / side / SCALE, pixel % side / SCALE))
            .map(|(row, column)| if self.is_dark(row, column) { 0 } else { 255 })
            .collect();
        let mut image = Vec::new();
        // A code has at most 177 modules, so the side always fits.
        let side = u32::try_from(side).unwrap_or(u32::MAX);
        let mut encoder = png::Encoder::new(&mut image, side, side);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&pixels)?;
        writer.finish()?;
        Ok(image)
    }

    /// As lines for a terminal with light letters on a dark ground: two modules a letter, the light ones drawn.
    pub fn terminal(&self) -> String {
        self.0
            .render::<Dense1x2>()
            .dark_color(Dense1x2::Light)
            .light_color(Dense1x2::Dark)
            .build()
    }

    /// The quiet zone counted in.
    fn is_dark(&self, row: usize, column: usize) -> bool {
        let inside = |at: usize| at.checked_sub(QUIET).filter(|at| *at < self.0.width());
        match (inside(row), inside(column)) {
            (Some(row), Some(column)) => self.0[(column, row)] == Color::Dark,
            _ => false,
        }
    }
}

impl std::fmt::Debug for Qr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Qr").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URI: &str =
        "otpauth://totp/Millgate:ada?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Millgate";

    #[test]
    fn image_and_text_show_the_same_modules() {
        let qr = Qr::new(URI).expect("a code");
        let modules = qr.0.width() + 2 * QUIET;
        let image = qr.png().expect("an image");
        let mut reader = png::Decoder::new(std::io::Cursor::new(image))
            .read_info()
            .expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("small")];
        let info = reader.next_frame(&mut pixels).expect("pixels");
        let side = modules * SCALE;
        assert_eq!((info.width as usize, info.height as usize), (side, side));
        let text = qr.terminal();
        let lines: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
        assert_eq!(lines.len(), modules.div_ceil(2));
        for row in 0..modules {
            for column in 0..modules {
                let dark = pixels[(row * SCALE + 1) * side + column * SCALE + 1] == 0;
                let letter = lines[row / 2][column];
                let light = match row % 2 {
                    0 => "█▀",
                    _ => "█▄",
                };
                assert_eq!(dark, !light.contains(letter), "{row} {column}");
            }
        }
    }

    #[test]
    fn a_text_that_is_too_long_is_an_error() {
        assert!(Qr::new(&"a".repeat(10_000)).is_err());
        assert!(!format!("{:?}", Qr::new(URI).expect("a code")).contains("GEZD"));
    }
}
