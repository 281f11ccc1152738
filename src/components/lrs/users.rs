//! The users of the LRS, and the mailboxes that identify them in statements.

/// The administrator.
pub(super) const USER: &str = "admin";
/// The account of Moodle.
pub const MOODLE: &str = "moodle";

const DOMAIN: &str = "@lrs.example.org";

/// The mailbox of an account, which Ralph writes into the authority of its statements.
pub fn mailbox(user: &str) -> String {
    format!("mailto:{user}{DOMAIN}")
}

/// The account with a mailbox. None: this program did not create it.
pub fn user_of(mailbox: &str) -> Option<&str> {
    mailbox.strip_prefix("mailto:")?.strip_suffix(DOMAIN)
}
