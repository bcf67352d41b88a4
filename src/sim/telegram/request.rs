//! Parameters of a Bot API call, whichever way they come: query, JSON, form
//! or multipart.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use serde_json::Value;

use crate::sim::form;

/// Parameters by name, and uploaded files by the name of their part.
#[derive(Debug, Default)]
pub(super) struct Params {
    values: BTreeMap<String, Value>,
    files: BTreeMap<String, Upload>,
}

/// One uploaded file.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub(super) name: String,
    pub(super) bytes: Bytes,
}

impl Params {
    /// Reads them from a request.
    pub(super) fn read(query: &str, headers: &HeaderMap, body: &Bytes) -> Result<Params, String> {
        let mut params = Params::default();
        params.add_form(query.as_bytes());
        let content_type =
            headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if body.is_empty() {
            return Ok(params);
        }
        if content_type.starts_with("multipart/form-data") {
            params.add_multipart(content_type, body)?;
        } else if content_type.starts_with("application/x-www-form-urlencoded") {
            params.add_form(body);
        } else {
            let values: BTreeMap<String, Value> = serde_json::from_slice(body)
                .map_err(|error| format!("can't parse JSON object: {error}"))?;
            params.values.extend(values);
        }
        Ok(params)
    }

    fn add_form(&mut self, text: &[u8]) {
        let pairs = form::pairs(&String::from_utf8_lossy(text)).into_iter();
        self.values.extend(pairs.map(|(name, value)| (name, Value::String(value))));
    }

    fn add_multipart(&mut self, content_type: &str, body: &Bytes) -> Result<(), String> {
        let boundary = content_type
            .split(';')
            .find_map(|part| part.trim().strip_prefix("boundary="))
            .map(|boundary| boundary.trim_matches('"'))
            .ok_or("multipart without a boundary")?;
        let mark = format!("--{boundary}");
        let mut at = find(body, mark.as_bytes(), 0).ok_or("multipart without parts")?;
        while let Some(start) = part_start(body, at + mark.len()) {
            let end = find(body, format!("\r\n{mark}").as_bytes(), start)
                .ok_or("multipart part without an end")?;
            self.add_part(&body.slice(start..end))?;
            at = end + 2;
        }
        Ok(())
    }

    fn add_part(&mut self, part: &Bytes) -> Result<(), String> {
        let split = find(part, b"\r\n\r\n", 0).ok_or("multipart part without a head")?;
        let head = String::from_utf8_lossy(&part[..split]);
        let content = part.slice(split + 4..);
        let name = attribute(&head, "name").ok_or("multipart part without a name")?;
        match attribute(&head, "filename") {
            Some(file) => {
                self.files.insert(name, Upload { name: file, bytes: content });
            }
            None => {
                let text = String::from_utf8_lossy(&content).into_owned();
                self.values.insert(name, Value::String(text));
            }
        }
        Ok(())
    }

    /// A text, or the text of a number.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.values.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// A whole number, also as text.
    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        self.text(name)?.trim().parse().ok()
    }

    /// True for `true`, also as text.
    pub(super) fn flag(&self, name: &str) -> bool {
        let Some(value) = self.values.get(name) else { return false };
        value.as_bool().unwrap_or_else(|| value.as_str() == Some("true"))
    }

    /// A JSON object or array, also as text.
    pub(super) fn json(&self, name: &str) -> Option<Value> {
        let value = self.values.get(name)?;
        value.as_str().map_or_else(|| Some(value.clone()), |text| serde_json::from_str(text).ok())
    }

    /// An uploaded file: the part of that name, or the one that
    /// `attach://part` names.
    pub(super) fn file(&self, name: &str) -> Option<Upload> {
        if let Some(file) = self.files.get(name) {
            return Some(file.clone());
        }
        let reference = self.text(name)?;
        self.files.get(reference.strip_prefix("attach://")?).cloned()
    }
}

/// Where the part after a boundary begins; `None` after the last boundary.
fn part_start(body: &[u8], at: usize) -> Option<usize> {
    body.get(at..)?.starts_with(b"\r\n").then_some(at + 2)
}

fn find(haystack: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    haystack.get(from..)?.windows(needle.len()).position(|part| part == needle).map(|at| at + from)
}

/// The value of `name="…"` in the head of a part.
fn attribute(head: &str, name: &str) -> Option<String> {
    let line =
        head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
    line.split(';').find_map(|item| {
        let value = item.trim().strip_prefix(name)?.strip_prefix('=')?;
        Some(value.trim_matches('"').to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_multipart_with_an_attached_file() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "multipart/form-data; boundary=XyZ".parse().unwrap());
        let body = "--XyZ\r\nContent-Disposition: form-data; name=\"chat_id\"\r\n\r\n42\r\n\
            --XyZ\r\nContent-Disposition: form-data; name=\"photo\"\r\n\r\nattach://p1\r\n\
            --XyZ\r\nContent-Disposition: form-data; name=\"p1\"; filename=\"day.png\"\r\n\
            Content-Type: image/png\r\n\r\n\u{1}PNG\r\n-\r\n--XyZ--\r\n";
        let params = Params::read("", &headers, &Bytes::from_static(body.as_bytes())).unwrap();
        assert_eq!(params.integer("chat_id"), Some(42));
        let photo = params.file("photo").unwrap();
        assert_eq!((photo.name.as_str(), &photo.bytes[..]), ("day.png", &b"\x01PNG\r\n-"[..]));
    }

    #[test]
    fn reads_query_form_and_json() {
        let mut headers = HeaderMap::new();
        let params = Params::read("offset=7&timeout=1", &headers, &Bytes::new()).unwrap();
        assert_eq!(params.integer("offset"), Some(7));
        headers.insert(CONTENT_TYPE, "application/json".parse().unwrap());
        let body = Bytes::from_static(br#"{"chat_id":-5,"disable_notification":true}"#);
        let params = Params::read("", &headers, &body).unwrap();
        assert_eq!(params.integer("chat_id"), Some(-5));
        assert!(params.flag("disable_notification"));
        headers.insert(CONTENT_TYPE, "application/x-www-form-urlencoded".parse().unwrap());
        let body = Bytes::from_static("chat_id=7&text=hello world é+%2B".as_bytes());
        let params = Params::read("", &headers, &body).unwrap();
        assert_eq!(params.text("text").as_deref(), Some("hello world é +"));
        headers.insert(CONTENT_TYPE, "application/json".parse().unwrap());
        assert!(Params::read("", &headers, &Bytes::from_static(b"[1")).is_err());
    }
}
