//! The custom resources as on the wire, one kind a file. Types and schema only: what they mean is decided in `policy`.

pub mod ownership;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool};
use kube::CustomResourceExt;

/// The API group of every kind.
pub const GROUP: &str = "demarc.dev";
/// The label that makes the API server ask Demarc about a namespace; set by the leader alone.
pub const ENROLLED_LABEL: &str = "demarc.dev/admission";
/// The value of [`ENROLLED_LABEL`] on an enrolled namespace.
pub const ENROLLED_VALUE: &str = "enabled";

/// The definition of a kind, as it is applied, printed, and held against files. No field is nullable: the API server then drops a `null`, as
/// Go clients send it for what they leave out, and it would refuse one in a nullable enum.
pub fn crd<K: CustomResourceExt>() -> CustomResourceDefinition {
    let mut crd = K::crd();
    for schema in crd.spec.versions.iter_mut().filter_map(|v| v.schema.as_mut()?.open_api_v3_schema.as_mut()) {
        without_null(schema);
    }
    crd
}

fn without_null(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(values) = &mut schema.enum_ {
        values.retain(|v| !v.0.is_null());
    }
    schema.properties.iter_mut().flat_map(|p| p.values_mut()).for_each(without_null);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        without_null(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        without_null(values);
    }
}
