//! Reply codes of channel and connection errors: <https://www.rabbitmq.com/amqp-0-9-1-reference#constants>.

use lapin::ErrorKind;

pub(crate) const ACCESS_REFUSED: u16 = 403;
pub(crate) const NOT_FOUND: u16 = 404;
pub(crate) const RESOURCE_LOCKED: u16 = 405;
pub(crate) const PRECONDITION_FAILED: u16 = 406;
pub(crate) const NOT_IMPLEMENTED: u16 = 540;

/// The broker's code, if it was the broker that refused.
pub(crate) fn reply_code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}
