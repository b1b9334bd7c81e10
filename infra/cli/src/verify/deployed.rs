//! A deployed table, by its name: where it is, who may read it, and what to do if that does not work.
//!
//! Region and credentials are the variables that every tool of AWS reads. Profiles, sign-on and roles are the AWS CLI's
//! to resolve; what it resolves to fits into those variables.

use platform::Failure as Refused;
use platform::aws::Target;
use platform::config::Credentials;
use platform::table::Table;

use crate::failure::Failure;

/// How many parts of a table on AWS are read at once.
const SEGMENTS: u8 = 4;
const EXPORT: &str =
    "eval \"$(aws configure export-credentials --format env)\" sets them, with --profile NAME for another";

#[derive(clap::Args)]
pub(crate) struct OnAws {
    /// Read this table on AWS, and write nothing; the stack's output TableName has its name
    #[arg(long, value_name = "NAME", conflicts_with = "state")]
    table: Option<String>,
    /// The table's region, if AWS_REGION is another
    #[arg(long, requires = "table")]
    region: Option<String>,
    /// Where DynamoDB answers, such as the AWS port of a running local server
    #[arg(long, value_name = "URL", requires = "table")]
    endpoint_url: Option<String>,
    /// Take at most so many read units of the table a second; a unit reads 4 KB
    #[arg(long, value_name = "UNITS", requires = "table", value_parser = clap::value_parser!(u32).range(1..))]
    read_units: Option<u32>,
    /// How many parts of the table are read at once; 4 on AWS, 1 at an endpoint
    #[arg(long, value_name = "NUMBER", requires = "table", value_parser = clap::value_parser!(u8).range(1..=64))]
    segments: Option<u8>,
}

/// A table that was named, and how to read it.
pub(crate) struct Deployed {
    pub(crate) target: Target,
    pub(crate) segments: u8,
    pub(crate) read_units: Option<u32>,
}

impl OnAws {
    /// `None` where no table is named.
    pub(crate) fn deployed(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Deployed>, Failure> {
        let Some(table) = self.table.clone() else { return Ok(None) };
        let first_of = |names: &[&str]| names.iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
        let endpoint_url =
            self.endpoint_url.clone().or_else(|| first_of(&["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"]));
        if let Some(url) = &endpoint_url
            && !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme))
        {
            return Err(Failure::Usage(format!("{url:?} is no URL; write it as http://127.0.0.1:4566")));
        }
        let region = self.region.clone().or_else(|| first_of(&["AWS_REGION", "AWS_DEFAULT_REGION"]));
        let credentials = credentials(first_of)?;
        let (region, credentials) = match (region, credentials, &endpoint_url) {
            (Some(region), Some(credentials), _) => (region, Some(credentials)),
            // A stand-in asks for a signature and looks at none.
            (region, credentials, Some(_)) => (region.unwrap_or_else(|| "us-east-1".to_owned()), credentials),
            (None, ..) => {
                return Err(Failure::Usage(format!(
                    "in which region is the table {table}? Name it with --region, or set AWS_REGION"
                )));
            }
            (Some(_), None, None) => {
                return Err(Failure::Failed(format!(
                    "there are no credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set\n{EXPORT}"
                )));
            }
        };
        let usual = if endpoint_url.is_some() { 1 } else { SEGMENTS };
        let target = Target { table, region, endpoint_url, credentials };
        let segments = self.segments.unwrap_or(usual);
        Ok(Some(Deployed { target, segments, read_units: self.read_units }))
    }
}

fn credentials(first_of: impl Fn(&[&str]) -> Option<String>) -> Result<Option<Credentials>, Failure> {
    let session_token = first_of(&["AWS_SESSION_TOKEN"]);
    match (first_of(&["AWS_ACCESS_KEY_ID"]), first_of(&["AWS_SECRET_ACCESS_KEY"])) {
        (Some(access_key_id), Some(secret_access_key)) => {
            Ok(Some(Credentials { access_key_id, secret_access_key, session_token }))
        }
        (None, None) => Ok(None),
        (Some(_), None) => Err(half("AWS_SECRET_ACCESS_KEY")),
        (None, Some(_)) => Err(half("AWS_ACCESS_KEY_ID")),
    }
}

fn half(missing: &str) -> Failure {
    Failure::Failed(format!("the credentials are not whole: {missing} is not set\n{EXPORT}"))
}

impl Deployed {
    pub(crate) fn open(&self) -> Table {
        platform::aws::table(self.target.clone(), platform::aws::network())
    }

    pub(crate) fn place(&self) -> String {
        let Target { region, endpoint_url, .. } = &self.target;
        endpoint_url.as_ref().map_or_else(|| format!("in {region}"), |url| format!("at {url}"))
    }

    /// What is wrong, and what to do about it.
    pub(crate) fn explain(&self, error: Refused) -> Failure {
        let Refused::Unavailable(why) = error else { return error.into() };
        let (table, place) = (&self.target.table, self.place());
        let code = why.split_once(':').map_or(why.as_str(), |(code, _)| code);
        Failure::Failed(match code {
            "ResourceNotFoundException" => {
                let more = match &self.target.endpoint_url {
                    Some(url) => format!("--endpoint-url {url}"),
                    None => format!("--region {}", self.target.region),
                };
                format!("there is no table {table} {place}\n`aws dynamodb list-tables {more}` says which there are")
            }
            "AccessDeniedException" => format!(
                "the table {table} may not be read: {why}\nthis takes dynamodb:DescribeTable, Scan, Query, GetItem \
                 and BatchGetItem on it, and nothing else"
            ),
            "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "IncompleteSignatureException"
            | "MissingAuthenticationTokenException"
            | "ExpiredTokenException"
            | "InvalidClientTokenId" => format!("the credentials are not believed: {why}\n{EXPORT}"),
            "ProvisionedThroughputExceededException" | "ThrottlingException" | "RequestLimitExceeded" => format!(
                "the table {table} turns reads away for too much load: {why}\ntake less of it with --read-units, or try \
                 again when there is less traffic"
            ),
            "the connection broke" | "no answer in time" | "no answer" | "the answer could not be read" => {
                format!("nothing answers {place}: {why}\nis that where the table is, and does a network lead there?")
            }
            _ => format!("the table {table} {place} cannot be read: {why}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named() -> OnAws {
        OnAws { table: Some("t".to_owned()), region: None, endpoint_url: None, read_units: None, segments: None }
    }

    fn deployed(arguments: &OnAws, variables: &[(&str, &str)]) -> Result<Deployed, String> {
        let find =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        match arguments.deployed(find) {
            Ok(deployed) => Ok(deployed.expect("a table is named")),
            Err(Failure::Usage(why) | Failure::Failed(why)) => Err(why),
            Err(Failure::Findings) => panic!("nothing was looked at"),
        }
    }

    const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s")];
    const REGION: (&str, &str) = ("AWS_REGION", "eu-central-1");

    fn refusal(arguments: &OnAws, variables: &[(&str, &str)]) -> String {
        deployed(arguments, variables).err().expect("it is refused")
    }

    #[test]
    fn what_is_missing_is_named_with_what_to_do() {
        assert!(refusal(&named(), &KEYS).contains("--region"));
        assert!(refusal(&named(), &[REGION]).contains("aws configure export-credentials"));
        assert!(refusal(&named(), &[REGION, KEYS[0]]).contains("AWS_SECRET_ACCESS_KEY is not set"));
        assert!(refusal(&named(), &[REGION, KEYS[1]]).contains("AWS_ACCESS_KEY_ID is not set"));
        let nowhere = OnAws { endpoint_url: Some("127.0.0.1:4566".to_owned()), ..named() };
        assert!(refusal(&nowhere, &[]).contains("is no URL"));
    }

    #[test]
    fn what_is_said_wins_over_variables_and_empty_ones_are_not_set() {
        let found = deployed(&named(), &[REGION, KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", "")])
            .unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(
            (found.target.region.as_str(), found.segments, &found.target.endpoint_url),
            ("eu-central-1", 4, &None)
        );
        let said = OnAws { region: Some("us-west-2".to_owned()), segments: Some(9), ..named() };
        let found = deployed(&said, &[REGION, KEYS[0], KEYS[1]]).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!((found.target.region.as_str(), found.segments), ("us-west-2", 9));
        let local = OnAws { endpoint_url: Some("http://127.0.0.1:4566".to_owned()), ..named() };
        let found = deployed(&local, &[]).unwrap_or_else(|why| panic!("{why}"));
        assert!(found.segments == 1 && found.target.credentials.is_none());
    }

    #[test]
    fn each_refusal_of_the_service_says_what_to_do() {
        let found = deployed(&named(), &[REGION, KEYS[0], KEYS[1]]).unwrap_or_else(|why| panic!("{why}"));
        for (why, part) in [
            ("ResourceNotFoundException: Requested resource not found", "list-tables --region eu-central-1"),
            ("AccessDeniedException: not authorized", "dynamodb:DescribeTable, Scan, Query, GetItem and BatchGetItem"),
            ("UnrecognizedClientException: The security token is invalid", "export-credentials"),
            ("ExpiredTokenException: expired", "export-credentials"),
            ("ProvisionedThroughputExceededException: rate", "--read-units"),
            ("ThrottlingException: rate", "--read-units"),
            ("the connection broke", "nothing answers in eu-central-1"),
            ("InternalServerError: oh", "cannot be read: InternalServerError: oh"),
        ] {
            match found.explain(Refused::Unavailable(why.to_owned())) {
                Failure::Failed(said) => assert!(said.contains(part), "{said}"),
                Failure::Usage(said) => panic!("{said}"),
                Failure::Findings => panic!("nothing was looked at"),
            }
        }
    }
}
