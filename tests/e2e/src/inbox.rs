//! The inbox: maildev's REST API.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::forward::Forward;
use crate::wait::until;

/// The inbox of an installation.
#[derive(Debug)]
pub struct Inbox {
    way: Forward,
    http: reqwest::Client,
    // It only grows: each look asks for what is new.
    seen: Mutex<Vec<Mail>>,
}

/// A mail that arrived.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Who it is to.
    pub to: String,
    /// What it is about.
    pub subject: String,
    /// When it arrived, RFC 3339.
    pub at: String,
}

impl Inbox {
    pub(crate) async fn of(pods: &Api<Pod>) -> Self {
        let way = Forward::to(pods.clone(), "app.kubernetes.io/component=mailbox", 1080).await;
        let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        Self { way, http, seen: Mutex::default() }
    }

    /// Every mail so far.
    pub async fn mails(&self) -> Result<Vec<Mail>, String> {
        let mut seen = self.seen.lock().await;
        let answer = self.http.get(format!("{}/api/email?skip={}", self.way.url(), seen.len())).send().await;
        let listed: Vec<Value> = async { answer?.error_for_status()?.json().await }
            .await
            .map_err(|error: reqwest::Error| error.to_string())?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mail = |mail: &Value| Mail {
            to: text(&mail["to"][0]["address"]),
            subject: text(&mail["subject"]),
            at: text(&mail["time"]),
        };
        seen.extend(listed.iter().map(mail));
        Ok(seen.clone())
    }

    /// Waits until there is a mail to this address.
    pub async fn has_mail_to(&self, address: &str, within: Duration) {
        self.has_mail_for(&BTreeSet::from([address.to_owned()]), within).await;
    }

    /// Waits until there is a mail to each of these.
    pub async fn has_mail_for(&self, addresses: &BTreeSet<String>, within: Duration) {
        until(&format!("{} addresses have a mail", addresses.len()), within, async || {
            let mailed: BTreeSet<String> = self.mails().await?.into_iter().map(|mail| mail.to).collect();
            let missing: Vec<&String> = addresses.difference(&mailed).collect();
            if missing.is_empty() {
                Ok(())
            } else {
                Err(format!("{} have none, such as {}", missing.len(), missing[0]))
            }
        })
        .await;
    }

    /// How often each address was mailed.
    pub async fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for mail in self.mails().await.expect("the inbox answers") {
            *counts.entry(mail.to).or_default() += 1;
        }
        counts
    }

    /// Addresses that were mailed more than once.
    pub async fn repeated(&self) -> Vec<String> {
        self.counts().await.into_iter().filter(|(_, count)| *count > 1).map(|(to, _)| to).collect()
    }
}
