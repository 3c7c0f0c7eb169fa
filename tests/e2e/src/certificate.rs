//! A certificate of an authority that nobody knows.

use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde_json::json;

use crate::sluice::Sluice;

/// Makes a secret with a new authority's certificate, and one of it for a host: `ca.crt`, `tls.crt`, `tls.key`.
pub async fn issue(sluice: &Sluice, secret: &str, host: String) {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let (authority_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let certificate = CertificateParams::new([host]).unwrap().signed_by(&key, &issuer).unwrap();
    let data = json!({ "ca.crt": authority_pem, "tls.crt": certificate.pem(), "tls.key": key.serialize_pem() });
    let secret = json!({ "metadata": { "name": secret }, "type": "kubernetes.io/tls", "stringData": data });
    let secret = serde_json::from_value(secret).unwrap();
    sluice.api::<Secret>().create(&PostParams::default(), &secret).await.expect("a secret with a certificate");
}
