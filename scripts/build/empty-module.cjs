// Stands in for cbor-extract, the native helper that a single executable cannot load. cbor-x uses whatever truthy value it gets, so an empty object would not do.
module.exports = undefined;
