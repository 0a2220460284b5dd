//! Twenty lines with the published client: `cargo run -p tikv-compat --example greeting`, beside `kvs-node dev`.

use std::error::Error;

use tikv_client::{Config, TransactionClient};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let given = std::env::args().nth(1);
    let node = given.unwrap_or_else(|| "127.0.0.1:2379".to_owned());
    let config = Config::default().with_default_keyspace();
    let client = TransactionClient::new_with_config(vec![node], config).await?;

    let mut transaction = client.begin_optimistic().await?;
    transaction.put("greeting/en".to_owned(), "hello").await?;
    transaction.put("greeting/fr".to_owned(), "salut").await?;
    transaction.commit().await?;

    let mut reader = client.begin_optimistic().await?;
    let range = "greeting/".to_owned().."greeting0".to_owned();
    for pair in reader.scan(range, 10).await? {
        let key = String::from_utf8_lossy(pair.key().into());
        println!("{key} {}", String::from_utf8_lossy(pair.value()));
    }
    reader.rollback().await?;
    Ok(())
}
