//! An answer on its way out, with what the switches want done to it.

use axum::response::Response;

use super::envelope::{ApiResult, respond};

/// An answer, and what is to happen to it.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) response: Response,
    /// The connection closes instead.
    pub(super) lost: bool,
    /// The order that a placement made.
    pub(super) order_id: Option<String>,
}

impl Reply {
    pub(super) fn new(response: Response) -> Reply {
        Reply { response, lost: false, order_id: None }
    }

    pub(super) fn placed(result: ApiResult, order_id: String, lost: bool) -> Reply {
        Reply { response: respond(result), lost, order_id: Some(order_id) }
    }
}

impl From<ApiResult> for Reply {
    fn from(result: ApiResult) -> Reply {
        Reply::new(respond(result))
    }
}
