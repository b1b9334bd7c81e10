//! The bucket of stream records that could not be relayed, whole. Each object is taken up and then deleted, so what is
//! in the bucket is what is still to be done.

use aws_sdk_s3::Client;

use crate::runtime::Failed;

pub struct Bucket<'a> {
    client: &'a Client,
    name: &'a str,
}

impl<'a> Bucket<'a> {
    pub(crate) const fn new(client: &'a Client, name: &'a str) -> Self {
        Self { client, name }
    }

    /// The keys of the oldest objects, as many as one call lists.
    pub async fn keys(&self) -> Result<Vec<String>, Failed> {
        let answer = self.client.list_objects_v2().bucket(self.name).send().await;
        let answer = answer.map_err(|error| self.failed("", &error))?;
        Ok(answer.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).collect())
    }

    /// An object, whole, as text.
    pub async fn read(&self, key: &str) -> Result<String, Failed> {
        let answer = self.client.get_object().bucket(self.name).key(key).send().await;
        let answer = answer.map_err(|error| self.failed(key, &error))?;
        let bytes = answer.body.collect().await.map_err(|error| self.failed(key, &error))?;
        String::from_utf8(bytes.to_vec()).map_err(|error| self.failed(key, &error))
    }

    pub async fn delete(&self, key: &str) -> Result<(), Failed> {
        let answer = self.client.delete_object().bucket(self.name).key(key).send().await;
        answer.map(drop).map_err(|error| self.failed(key, &error))
    }

    fn failed(&self, key: &str, why: &dyn std::fmt::Display) -> Failed {
        Failed(format!("s3://{}/{key}: {why}", self.name))
    }
}
