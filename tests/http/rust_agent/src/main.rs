//! `rust-agent URL CANISTER KEYS`: uses a counter with the ic-agent crate, everything verified, and prints one JSON
//! object of what the agent saw. KEYS is a folder with `ed25519.pem`, `secp256k1.pem` and `prime256v1.pem`.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use candid::{decode_args, encode_args, Nat, Principal};
use ic_agent::identity::{AnonymousIdentity, BasicIdentity, Prime256v1Identity, Secp256k1Identity};
use ic_agent::{Agent, AgentError, Certificate, Identity};
use serde_json::{json, Value};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

async fn agent(url: &str, identity: Arc<dyn Identity>) -> Result<Agent> {
    let agent =
        Agent::builder().with_url(url).with_arc_identity(identity).with_verify_query_signatures(true).build()?;
    agent.fetch_root_key().await?;
    Ok(agent)
}

async fn update<T: candid::CandidType + serde::de::DeserializeOwned>(
    agent: &Agent,
    canister: &Principal,
    method: &str,
) -> Result<T> {
    let reply = agent.update(canister, method).with_arg(encode_args(())?).call_and_wait().await?;
    Ok(decode_args::<(T,)>(&reply)?.0)
}

async fn query<T: candid::CandidType + serde::de::DeserializeOwned>(
    agent: &Agent,
    canister: &Principal,
    method: &str,
) -> Result<T> {
    let reply = agent.query(canister, method).with_arg(encode_args(())?).call().await?;
    Ok(decode_args::<(T,)>(&reply)?.0)
}

fn error_code<T>(result: std::result::Result<T, AgentError>) -> Option<String> {
    match result {
        Err(AgentError::CertifiedReject { reject, .. }) => reject.error_code.map(|code| format!("certified {code}")),
        Err(AgentError::UncertifiedReject { reject, .. }) => reject.error_code,
        _ => None,
    }
}

async fn certified(agent: &Agent, canister: &Principal) -> Result<Vec<u8>> {
    let data: Vec<u8> = vec![1, 2, 3];
    agent.update(canister, "set_certified").with_arg(encode_args((data,))?).call_and_wait().await?;
    let proof: Option<Vec<u8>> = query(agent, canister, "certificate").await?;
    let certificate: Certificate = serde_cbor::from_slice(&proof.ok_or("there is no certificate")?)?;
    agent.verify(&certificate, *canister)?;
    let path = ["canister".as_bytes(), canister.as_slice(), "certified_data".as_bytes()];
    Ok(ic_agent::lookup_value(&certificate, path)?.to_vec())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let (url, canister, keys) = (&arguments[1], Principal::from_text(&arguments[2])?, Path::new(&arguments[3]));
    let identities: Vec<Arc<dyn Identity>> = vec![
        Arc::new(AnonymousIdentity),
        Arc::new(BasicIdentity::from_pem_file(keys.join("ed25519.pem"))?),
        Arc::new(Secp256k1Identity::from_pem_file(keys.join("secp256k1.pem"))?),
        Arc::new(Prime256v1Identity::from_pem_file(keys.join("prime256v1.pem"))?),
    ];
    let mut callers: Vec<Value> = vec![];
    for identity in identities {
        let agent = agent(url, identity.clone()).await?;
        let counted: Nat = update(&agent, &canister, "inc").await?;
        let caller: Principal = query(&agent, &canister, "whoami").await?;
        callers.push(json!([counted.to_string(), caller == identity.sender()?]));
    }
    let agent = agent(url, Arc::new(AnonymousIdentity)).await?;
    let boom = agent.update(&canister, "boom").with_arg(encode_args(())?).call_and_wait().await;
    let boom_in_query = agent.query(&canister, "boom_in_query").with_arg(encode_args(())?).call().await;
    let interface = agent.read_state_canister_metadata(canister, "candid:service").await?;
    let controllers = agent.read_state_canister_controllers(canister).await?;
    let seen = json!({
        "callers": callers,
        "update": error_code(boom),
        "query": error_code(boom_in_query),
        "certified": certified(&agent, &canister).await?,
        "module_hash": hex::encode(agent.read_state_canister_module_hash(canister).await?),
        "candid": String::from_utf8(interface)?.contains("service"),
        "controllers": controllers.len(),
    });
    println!("{seen}");
    Ok(())
}
