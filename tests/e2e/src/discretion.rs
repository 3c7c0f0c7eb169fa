//! What must not stand in any log: secrets, and what people said of themselves.

use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;

use crate::api::PASSWORD;
use crate::pods;
use crate::sluice::Sluice;

/// Keys of the secrets' values that open something.
const KEYS: [&str; 4] = ["password", "cookie", "uri", "connection_string"];

/// Looks through the logs of every pod of an installation.
///
/// # Panics
/// A value of a secret, an address or a password is in one. It is not shown.
pub async fn nothing_is_given_away(sluice: &Sluice) {
    // Everybody who is registered has an address there.
    let mut texts = vec![("somebody's address".to_owned(), "@example.com".to_owned())];
    texts.push(("somebody's password".to_owned(), PASSWORD.to_owned()));
    for secret in sluice.api::<Secret>().list(&ListParams::default()).await.unwrap() {
        // Helm keeps the release in one.
        if secret.type_.as_deref() != Some("helm.sh/release.v1") {
            let name = secret.metadata.name.unwrap_or_default();
            let values = secret.data.unwrap_or_default().into_iter().filter(|(key, _)| KEYS.contains(&key.as_str()));
            texts.extend(values.map(|(key, value)| (format!("{key} of {name}"), String::from_utf8(value.0).unwrap())));
        }
    }
    for pod in pods::list(&sluice.pods, "").await {
        // The inbox shows mails: that is what it is for.
        if pods::name(&pod).contains("mailbox") {
            continue;
        }
        let printed = pods::all_logs(&sluice.pods, &pod).await;
        let given_away = texts.iter().find(|(_, text)| printed.contains(text.as_str()));
        assert!(given_away.is_none(), "the log of {} has the {}", pods::name(&pod), given_away.unwrap().0);
    }
}
