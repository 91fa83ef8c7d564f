//! What a client accepts (RFC 9110 section 12.5.1).

use http::HeaderMap;
use http::header::ACCEPT;

/// The ranges of `Accept`, with their weights. What cannot be read asks for nothing.
#[derive(Debug)]
pub(crate) struct Accepted(Vec<(String, f32)>);

impl Accepted {
    /// Reads the header.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT).iter();
        let ranges = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(range);
        Self(ranges.collect())
    }

    /// How much a media type is wanted, from 0 (not at all) to 1: the range that says it most exactly decides.
    pub(crate) fn weight(&self, kind: &str) -> f32 {
        if self.0.is_empty() {
            return 1.0;
        }
        let group = kind.split('/').next().unwrap_or_default();
        [kind, &format!("{group}/*"), "*/*"]
            .into_iter()
            .find_map(|range| self.named(range))
            .unwrap_or_default()
    }

    /// The weight of this very range; `None` where it is not named.
    pub(crate) fn named(&self, range: &str) -> Option<f32> {
        let found = self.0.iter().filter(|(known, _)| known == range);
        found.map(|(_, weight)| *weight).reduce(f32::max)
    }
}

/// `type/subtype` in small letters, and its weight. One that cannot be read counts as none at all.
fn range(text: &str) -> Option<(String, f32)> {
    let mut parts = text.split(';').map(str::trim);
    let kind = parts.next().filter(|kind| kind.contains('/'))?;
    let weight = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let weight = weight.map_or(Some(1.0), |weight| weight.parse().ok());
    Some((
        kind.to_ascii_lowercase(),
        weight.unwrap_or(0.0_f32).clamp(0.0, 1.0),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_exact_range_decides() {
        let cases: [(&[&str], f32); 13] = [
            (&[], 1.0),
            (&["*/*"], 1.0),
            (&["text/html,application/xhtml+xml,*/*;q=0.8"], 0.8),
            (&["application/json;q=0.1"], 0.1),
            (&["application/json; charset=utf-8; Q = 0.5"], 0.5),
            (&["APPLICATION/JSON"], 1.0),
            (&["nonsense"], 1.0),
            (&["text/html"], 0.0),
            (&["text/html", "image/*"], 0.0),
            (&["application/json;q=0, */*"], 0.0),
            (&["application/*;q=0", "*/*"], 0.0),
            (&["application/*;q=0.2, application/json"], 1.0),
            (&["application/json;q=x"], 0.0),
        ];
        for (values, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT, value.parse().unwrap());
            }
            let weight = Accepted::of(&headers).weight("application/json");
            assert!((weight - expected).abs() < 1e-6, "{values:?}: {weight}");
        }
    }
}
