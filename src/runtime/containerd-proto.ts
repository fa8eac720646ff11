/**
 * The part of containerd's own API (the same in 1.6, 1.7 and 2.x) that an import needs: names and field numbers only.
 *
 * One text per protobuf package. `Empty`, `FieldMask`, `Descriptor` and `Mount` are repeated where they are used: a message's
 * name never travels, only its field numbers do.
 */
const content = `
syntax = "proto3";
package containerd.services.content.v1;

service Content {
  rpc Info(InfoRequest) returns (InfoResponse);
  rpc Update(UpdateRequest) returns (UpdateResponse);
  rpc Write(stream WriteContentRequest) returns (stream WriteContentResponse);
  rpc Abort(AbortRequest) returns (Empty);
  rpc List(ListContentRequest) returns (stream ListContentResponse);
}

message Empty {}
message FieldMask { repeated string paths = 1; }
message Info { string digest = 1; int64 size = 2; map<string, string> labels = 5; }
message InfoRequest { string digest = 1; }
message InfoResponse { Info info = 1; }
message UpdateRequest { Info info = 1; FieldMask update_mask = 2; }
message UpdateResponse { Info info = 1; }
message AbortRequest { string ref = 1; }
message ListContentRequest { repeated string filters = 1; }
message ListContentResponse { repeated Info info = 1; }

enum WriteAction { STAT = 0; WRITE = 1; COMMIT = 2; }
message WriteContentRequest {
  WriteAction action = 1;
  string ref = 2;
  int64 total = 3;
  string expected = 4;
  int64 offset = 5;
  bytes data = 6;
  map<string, string> labels = 7;
}
message WriteContentResponse { WriteAction action = 1; int64 offset = 4; int64 total = 5; string digest = 6; }
`;

const images = `
syntax = "proto3";
package containerd.services.images.v1;

service Images {
  rpc Get(GetImageRequest) returns (GetImageResponse);
  rpc List(ListImagesRequest) returns (ListImagesResponse);
  rpc Create(CreateImageRequest) returns (CreateImageResponse);
  rpc Update(UpdateImageRequest) returns (UpdateImageResponse);
  rpc Delete(DeleteImageRequest) returns (Empty);
}

message Empty {}
message FieldMask { repeated string paths = 1; }
message Descriptor { string media_type = 1; string digest = 2; int64 size = 3; }
message Image { string name = 1; map<string, string> labels = 2; Descriptor target = 3; }
message GetImageRequest { string name = 1; }
message GetImageResponse { Image image = 1; }
message ListImagesRequest { repeated string filters = 1; }
message ListImagesResponse { repeated Image images = 1; }
message CreateImageRequest { Image image = 1; }
message CreateImageResponse { Image image = 1; }
message UpdateImageRequest { Image image = 1; FieldMask update_mask = 2; }
message UpdateImageResponse { Image image = 1; }
message DeleteImageRequest { string name = 1; bool sync = 2; }
`;

const leases = `
syntax = "proto3";
package containerd.services.leases.v1;

service Leases {
  rpc Create(CreateRequest) returns (CreateResponse);
  rpc Delete(DeleteRequest) returns (Empty);
  rpc List(ListRequest) returns (ListResponse);
  rpc AddResource(AddResourceRequest) returns (Empty);
}

message Empty {}
message Lease { string id = 1; map<string, string> labels = 3; }
message Resource { string id = 1; string type = 2; }
message CreateRequest { string id = 1; map<string, string> labels = 3; }
message CreateResponse { Lease lease = 1; }
message DeleteRequest { string id = 1; bool sync = 2; }
message ListRequest { repeated string filters = 1; }
message ListResponse { repeated Lease leases = 1; }
message AddResourceRequest { string id = 1; Resource resource = 2; }
`;

const snapshots = `
syntax = "proto3";
package containerd.services.snapshots.v1;

service Snapshots {
  rpc Prepare(PrepareSnapshotRequest) returns (PrepareSnapshotResponse);
  rpc Commit(CommitSnapshotRequest) returns (Empty);
  rpc Remove(RemoveSnapshotRequest) returns (Empty);
  rpc Stat(StatSnapshotRequest) returns (StatSnapshotResponse);
  rpc List(ListSnapshotsRequest) returns (stream ListSnapshotsResponse);
}

message Empty {}
message Mount { string type = 1; string source = 2; string target = 3; repeated string options = 4; }
enum Kind { UNKNOWN = 0; VIEW = 1; ACTIVE = 2; COMMITTED = 3; }
message Info { string name = 1; string parent = 2; Kind kind = 3; }
message PrepareSnapshotRequest { string snapshotter = 1; string key = 2; string parent = 3; map<string, string> labels = 4; }
message PrepareSnapshotResponse { repeated Mount mounts = 1; }
message CommitSnapshotRequest { string snapshotter = 1; string name = 2; string key = 3; map<string, string> labels = 4; }
message RemoveSnapshotRequest { string snapshotter = 1; string key = 2; }
message StatSnapshotRequest { string snapshotter = 1; string key = 2; }
message StatSnapshotResponse { Info info = 1; }
message ListSnapshotsRequest { string snapshotter = 1; }
message ListSnapshotsResponse { repeated Info info = 1; }
`;

const diff = `
syntax = "proto3";
package containerd.services.diff.v1;

service Diff {
  rpc Apply(ApplyRequest) returns (ApplyResponse);
}

message Descriptor { string media_type = 1; string digest = 2; int64 size = 3; }
message Mount { string type = 1; string source = 2; string target = 3; repeated string options = 4; }
message ApplyRequest { Descriptor diff = 1; repeated Mount mounts = 2; bool sync_fs = 4; }
message ApplyResponse { Descriptor applied = 1; }
`;

const containers = `
syntax = "proto3";
package containerd.services.containers.v1;

service Containers {
  rpc List(ListContainersRequest) returns (ListContainersResponse);
}

message Container { string id = 1; map<string, string> labels = 2; string image = 3; }
message ListContainersRequest { repeated string filters = 1; }
message ListContainersResponse { repeated Container containers = 1; }
`;

export const containerdProtos: readonly string[] = [content, images, leases, snapshots, diff, containers];
