//! Errors as vLLM shapes them: `{"error":{"message","type","param","code"}}`.

use super::BAD_REQUEST;
use crate::storage::adapters::RegistryError;
use axum::{
    Json,
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// A request that is not served, and why.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    kind: &'static str,
    message: String,
    param: Option<&'static str>,
}

impl Refusal {
    /// The request is well formed and asks for something impossible.
    pub(super) fn bad_request(message: impl Into<String>, param: Option<&'static str>) -> Self {
        Self {
            status: BAD_REQUEST,
            kind: "BadRequestError",
            message: message.into(),
            param,
        }
    }

    /// The body is not what the route takes.
    pub(super) fn invalid(error: &serde_json::Error) -> Self {
        Self {
            status: BAD_REQUEST,
            kind: "Bad Request",
            message: format!("1 validation error: {error}"),
            param: None,
        }
    }

    /// No model or adapter has this name.
    pub(super) fn no_model(name: &str, known: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            kind: "NotFoundError",
            message: format!("The model `{name}` does not exist. Valid aliases: {known}."),
            param: Some("model"),
        }
    }

    /// No such path.
    pub(super) fn no_route() -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            kind: "Not Found",
            message: "Not Found".into(),
            param: None,
        }
    }

    /// The path exists, but not for this method.
    pub(super) fn wrong_method(method: &Method) -> Self {
        Self {
            status: StatusCode::METHOD_NOT_ALLOWED,
            kind: "Method Not Allowed",
            message: format!("Method {method} Not Allowed"),
            param: None,
        }
    }

    /// An adapter can't be added or removed.
    pub(super) fn adapter(error: &RegistryError) -> Self {
        let (status, kind) = match error {
            RegistryError::Known(_) => (BAD_REQUEST, "InvalidUserInput"),
            RegistryError::Unknown(_) | RegistryError::NoFile(..) => {
                (StatusCode::NOT_FOUND, "NotFoundError")
            }
        };
        Self {
            status,
            kind,
            message: error.to_string(),
            param: Some("lora_name"),
        }
    }

    /// The request was begun and can't be finished.
    pub(super) fn failed(message: String) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            kind: "InternalServerError",
            message,
            param: None,
        }
    }

    /// The engine is going down, or has lost its stepper.
    pub(super) fn stopping() -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            kind: "ServiceUnavailableError",
            message: "the engine is shutting down".into(),
            param: None,
        }
    }
}

impl Refusal {
    /// The error as JSON.
    pub(super) fn json(&self) -> Value {
        json!({ "error": {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.status.as_u16(),
        }})
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self.json())).into_response()
    }
}
