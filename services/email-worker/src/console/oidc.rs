//! Signing in at an OpenID Connect provider: the code flow, with PKCE, state and nonce.
//!
//! What the provider announces is fetched in the background, again each hour and where a key is not known. Nothing is kept of an attempt
//! but a cookie: the rest is derived from it.

mod claims;
mod http;

use std::sync::Arc;
use std::time::Duration;

use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClientAuthMethod, CoreErrorResponseType,
    CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreRevocableToken,
    CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AccessTokenHash, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenFields, IssuerUrl, Nonce,
    OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, ProviderMetadataWithLogout, RedirectUrl, Scope,
    SignatureVerificationError, StandardErrorResponse, StandardTokenResponse, TokenResponse as _, UserInfoClaims,
};
use platform::backoff::Backoff;
use platform::config::Secret;
use platform::health::Component;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::http::Http;
use super::attempt::Secrets;
use super::who::Role;
use crate::tls::TlsError;

pub(crate) use self::claims::Meaning;

/// Waits between two looks for a provider that is away.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Between two looks at one that is there: keys are changed by the day.
const EVERY: Duration = Duration::from_secs(3600);
/// Between two looks for a key that is not known: whoever sends nonsense causes no more.
const FOR_A_KEY: Duration = Duration::from_secs(10);

/// A provider, and this console as it knows it.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Its name.
    pub(crate) issuer: IssuerUrl,
    /// Ours, there.
    pub(crate) client_id: String,
    /// What proves that it is us; a public client has none.
    pub(crate) client_secret: Option<Secret>,
    /// Where people come back.
    pub(crate) redirect: RedirectUrl,
    /// What is asked for, beside `openid`.
    pub(crate) scopes: Vec<String>,
    /// What is read of the answer.
    pub(crate) meaning: Meaning,
}

/// All that a token says beyond what the standard names.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Others(Map<String, Value>);

impl openidconnect::AdditionalClaims for Others {}

type TokenResponse = StandardTokenResponse<
    IdTokenFields<
        Others,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

type Client = openidconnect::Client<
    Others,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    TokenResponse,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Why somebody who came back is not let in.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// It was not reached so far.
    #[error("the provider did not answer so far")]
    Unknown,
    /// It does not answer, or says no.
    #[error("{0}")]
    Provider(String),
    /// What it says does not hold.
    #[error("the ID token does not hold: {0}")]
    Token(String),
}

/// The provider, as far as it is known.
#[derive(Debug)]
pub(super) struct Provider {
    settings: Settings,
    http: Http,
    known: watch::Sender<Option<Arc<ProviderMetadataWithLogout>>>,
    looked_for_a_key: Mutex<Option<Instant>>,
}

impl Provider {
    pub(super) fn new(settings: Settings) -> Result<Self, TlsError> {
        let http = Http::new(settings.issuer.url().scheme() == "https")?;
        Ok(Self { settings, http, known: watch::Sender::default(), looked_for_a_key: Mutex::default() })
    }

    /// Its name.
    pub(super) fn issuer(&self) -> &str {
        self.settings.issuer.as_str()
    }

    /// As people know it: its host.
    pub(super) fn host(&self) -> &str {
        self.settings.issuer.url().host_str().unwrap_or_default()
    }

    /// Is it known where people sign in?
    pub(super) fn is_known(&self) -> bool {
        self.known.borrow().is_some()
    }

    /// Learns what it announces, and keeps that up to date until the token is cancelled.
    pub(super) async fn keep_known(&self, health: Component, stop: CancellationToken) {
        let mut backoff = Backoff::new(AGAIN.0, AGAIN.1);
        loop {
            let wait = match self.look().await {
                Ok(()) => {
                    health.up();
                    backoff.reset();
                    EVERY
                }
                Err(error) => {
                    let issuer = self.issuer();
                    tracing::warn!(issuer, error, "the sign-in provider is not reached (CONSOLE_OIDC_ISSUER)");
                    health.down(error);
                    backoff.next_delay()
                }
            };
            if stop.run_until_cancelled(sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    async fn look(&self) -> Result<(), String> {
        let found = ProviderMetadataWithLogout::discover_async(self.settings.issuer.clone(), &self.http).await;
        let found = found.map_err(|error| chain(&error))?;
        if self.known.send_replace(Some(Arc::new(found))).is_none() {
            tracing::info!(issuer = self.issuer(), "people can sign in at the provider");
        }
        Ok(())
    }

    fn metadata(&self) -> Option<Arc<ProviderMetadataWithLogout>> {
        self.known.borrow().clone()
    }

    fn client(&self, metadata: &ProviderMetadataWithLogout) -> Client {
        let secret = self.settings.client_secret.as_ref().map(|secret| ClientSecret::new(secret.expose().to_owned()));
        let id = ClientId::new(self.settings.client_id.clone());
        let client = Client::from_provider_metadata(metadata.clone(), id, secret);
        client.set_auth_type(way_to_prove(metadata)).set_redirect_uri(self.settings.redirect.clone())
    }

    /// Where somebody signs in; `None` while it is not known.
    pub(super) fn door(&self, secrets: &Secrets) -> Option<String> {
        let client = self.client(&*self.metadata()?);
        let (state, nonce) = (CsrfToken::new(secrets.state.clone()), Nonce::new(secrets.nonce.clone()));
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(secrets.verifier.clone()));
        let (url, ..) = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, || state, || nonce)
            .add_scopes(self.settings.scopes.iter().cloned().map(Scope::new))
            .set_pkce_challenge(challenge)
            .url();
        Some(url.into())
    }

    /// Where somebody ends the session that they have there.
    pub(super) fn way_out(&self) -> Option<String> {
        let metadata = self.metadata()?;
        let mut url = metadata.additional_metadata().end_session_endpoint.as_ref()?.url().clone();
        url.query_pairs_mut().append_pair("client_id", &self.settings.client_id);
        Some(url.into())
    }

    /// Who it is that came back with this code, and what they may do: nothing, if none of their groups is known here.
    pub(super) async fn who(&self, code: &str, secrets: &Secrets) -> Result<(String, Option<Role>), Refused> {
        let client = self.client(&*self.metadata().ok_or(Refused::Unknown)?);
        let provider = |error: &dyn std::error::Error| Refused::Provider(chain(error));
        let exchange = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|error| provider(&error))?
            .set_pkce_verifier(PkceCodeVerifier::new(secrets.verifier.clone()));
        let answer = exchange.request_async(&self.http).await.map_err(|error| provider(&error))?;
        let claims = self.claims(&client, &answer, &secrets.nonce).await?;
        let claims = if self.settings.meaning.is_told_by(&claims) {
            claims
        } else {
            self.with_user_info(&client, &answer, claims).await?
        };
        Ok(self.settings.meaning.of(&claims))
    }

    /// What the ID token says, once it is proven; a key that is new is looked for.
    async fn claims(&self, client: &Client, answer: &TokenResponse, nonce: &str) -> Result<Value, Refused> {
        match proven(client, answer, nonce) {
            Err(Unproven::Key) if self.look_for_a_key().await => {
                let client = self.client(&*self.metadata().ok_or(Refused::Unknown)?);
                proven(&client, answer, nonce)
            }
            other => other,
        }
        .map_err(|unproven| Refused::Token(unproven.to_string()))
    }

    async fn look_for_a_key(&self) -> bool {
        let mut last = self.looked_for_a_key.lock().await;
        if last.is_some_and(|at| at.elapsed() < FOR_A_KEY) {
            return false;
        }
        *last = Some(Instant::now());
        self.look().await.is_ok()
    }

    /// Many providers keep the token short, and tell the rest when asked.
    async fn with_user_info(&self, client: &Client, answer: &TokenResponse, claims: Value) -> Result<Value, Refused> {
        let Some(subject) = proven_subject(&claims) else { return Ok(claims) };
        let Ok(request) = client.user_info(answer.access_token().clone(), Some(subject)) else { return Ok(claims) };
        let told: UserInfoClaims<Others, CoreGenderClaim> =
            request.request_async(&self.http).await.map_err(|error| Refused::Provider(chain(&error)))?;
        Ok(merged(claims, serde_json::to_value(told).unwrap_or_default()))
    }
}

/// Why an ID token is not believed.
#[derive(Debug, thiserror::Error)]
enum Unproven {
    #[error("there is none")]
    Missing,
    #[error("its key is not known")]
    Key,
    #[error("{0}")]
    Other(String),
}

fn proven(client: &Client, answer: &TokenResponse, nonce: &str) -> Result<Value, Unproven> {
    let other = |error: &dyn std::error::Error| Unproven::Other(chain(error));
    let token = answer.id_token().ok_or(Unproven::Missing)?;
    let verifier = client.id_token_verifier();
    let claims = token.claims(&verifier, &Nonce::new(nonce.to_owned())).map_err(|error| match error {
        ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey) => Unproven::Key,
        error => other(&error),
    })?;
    if let Some(expected) = claims.access_token_hash() {
        let algorithm = token.signing_alg().map_err(|error| other(&error))?;
        let key = token.signing_key(&verifier).map_err(|error| other(&error))?;
        let actual =
            AccessTokenHash::from_token(answer.access_token(), algorithm, key).map_err(|error| other(&error))?;
        if actual != *expected {
            return Err(Unproven::Other("it is of another access token".to_owned()));
        }
    }
    serde_json::to_value(claims).map_err(|error| other(&error))
}

fn proven_subject(claims: &Value) -> Option<openidconnect::SubjectIdentifier> {
    Some(openidconnect::SubjectIdentifier::new(claims.get("sub")?.as_str()?.to_owned()))
}

/// What a signed token says counts before what else is told.
fn merged(claims: Value, told: Value) -> Value {
    match (claims, told) {
        (Value::Object(claims), Value::Object(mut told)) => {
            told.extend(claims.into_iter().filter(|(_, value)| !value.is_null()));
            Value::Object(told)
        }
        (claims, _) => claims,
    }
}

/// The way of the standard, where the provider does not say that it wants the other.
fn way_to_prove(metadata: &ProviderMetadataWithLogout) -> AuthType {
    let known = metadata.token_endpoint_auth_methods_supported();
    let has = |method: &CoreClientAuthMethod| known.is_some_and(|known| known.contains(method));
    if has(&CoreClientAuthMethod::ClientSecretPost) && !has(&CoreClientAuthMethod::ClientSecretBasic) {
        AuthType::RequestBody
    } else {
        AuthType::BasicAuth
    }
}

/// An error, with what it is due to.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut due_to = error.source();
    while let Some(cause) = due_to {
        text = format!("{text}: {cause}");
        due_to = cause.source();
    }
    text
}
