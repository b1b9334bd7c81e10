//! What is written by its name, in files and in words.

/// Writes a kind by its name, and reads what has one.
macro_rules! written_by_name {
    ($kind:ty, $what:literal) => {
        impl serde::Serialize for $kind {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> serde::Deserialize<'de> for $kind {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = String::deserialize(deserializer)?;
                Self::ALL.iter().copied().find(|one| one.name() == name).ok_or_else(|| {
                    let known: Vec<&str> = Self::ALL.iter().map(|one| one.name()).collect();
                    let (what, known) = ($what, known.join(", "));
                    serde::de::Error::custom(format!("{name:?} is no {what}; this build knows {known}"))
                })
            }
        }
    };
}

pub(crate) use written_by_name;
