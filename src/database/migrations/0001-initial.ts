/** Times are milliseconds since 1970, sizes bytes, booleans 0 or 1; JSON columns say so. */
export const initial = `
CREATE TABLE manifests (
  id INTEGER PRIMARY KEY,
  domain TEXT NOT NULL,                 -- sharing domain: 'host' or 'project-<project>'
  digest TEXT NOT NULL,                 -- SHA-256 of the manifest file
  size_bytes INTEGER NOT NULL,          -- of the tree
  file_count INTEGER NOT NULL,
  entry_count INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('live', 'deleting')),
  UNIQUE (domain, digest)
) STRICT;

CREATE TABLE objects (
  id INTEGER PRIMARY KEY,
  domain TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  executable INTEGER NOT NULL,
  copy INTEGER NOT NULL DEFAULT 0,      -- a further inode of the same content, from 1
  size_bytes INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('live', 'deleting', 'quarantined')),
  UNIQUE (domain, sha256, executable, copy)
) STRICT;
CREATE INDEX objects_not_live ON objects (state) WHERE state <> 'live';

CREATE TABLE manifest_objects (
  manifest_id INTEGER NOT NULL REFERENCES manifests (id),
  object_id INTEGER NOT NULL REFERENCES objects (id),
  PRIMARY KEY (manifest_id, object_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_objects_by_object ON manifest_objects (object_id);

CREATE TABLE views (
  id INTEGER PRIMARY KEY,
  manifest_id INTEGER NOT NULL REFERENCES manifests (id),
  generation INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('live', 'retired', 'deleting')),
  UNIQUE (manifest_id, generation)
) STRICT;

CREATE TABLE checkpoints (
  id TEXT PRIMARY KEY,
  project TEXT NOT NULL,
  name TEXT NOT NULL,
  domain TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('new', 'downloading', 'ready', 'failed', 'removing')),
  source_type TEXT NOT NULL,
  source_uri TEXT NOT NULL,             -- without secrets
  source_options TEXT NOT NULL,         -- JSON object
  sealed_source BLOB,                   -- the whole address, sealed, where it holds a secret
  pinned_source TEXT,
  manifest_id INTEGER REFERENCES manifests (id),
  size_bytes INTEGER NOT NULL DEFAULT 0,
  file_count INTEGER NOT NULL DEFAULT 0,
  error TEXT,                           -- JSON ErrorRecord
  created_at_ms INTEGER NOT NULL,
  ready_at_ms INTEGER
) STRICT;
CREATE INDEX checkpoints_by_name ON checkpoints (project, name, created_at_ms);
CREATE INDEX checkpoints_by_manifest ON checkpoints (manifest_id);

CREATE TABLE checkpoint_log (
  checkpoint_id TEXT NOT NULL REFERENCES checkpoints (id) ON DELETE CASCADE,
  seq INTEGER NOT NULL,
  time_ms INTEGER NOT NULL,
  msg TEXT NOT NULL,
  PRIMARY KEY (checkpoint_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE ingests (
  checkpoint_id TEXT PRIMARY KEY REFERENCES checkpoints (id),
  kind TEXT NOT NULL CHECK (kind IN ('transfer', 'capture')),
  planned INTEGER NOT NULL DEFAULT 0,   -- the list of planned files is complete
  state TEXT NOT NULL DEFAULT '{}'      -- JSON, what its kind needs to go on after a restart
) STRICT, WITHOUT ROWID;

CREATE TABLE entries (
  checkpoint_id TEXT NOT NULL,          -- of an ingest; entries of none are leftovers
  path TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('file', 'directory', 'symlink')),
  state TEXT NOT NULL CHECK (state IN ('planned', 'stored')),
  executable INTEGER NOT NULL DEFAULT 0,
  size_bytes INTEGER,
  object_id INTEGER REFERENCES objects (id),  -- none for an empty file
  sha256 TEXT,
  target TEXT,
  plan TEXT,                            -- JSON, how to fetch it
  PRIMARY KEY (checkpoint_id, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX entries_by_object ON entries (object_id) WHERE object_id IS NOT NULL;
CREATE INDEX entries_planned ON entries (checkpoint_id, path) WHERE state = 'planned';

CREATE TABLE partials (
  checkpoint_id TEXT NOT NULL REFERENCES ingests (checkpoint_id),
  key TEXT NOT NULL,                    -- what the bytes are of
  version TEXT NOT NULL,                -- the pin they belong to
  staging_name TEXT NOT NULL,
  durable_bytes INTEGER NOT NULL,       -- recorded after their flush
  prefix_sha256 TEXT NOT NULL,          -- of exactly those bytes
  PRIMARY KEY (checkpoint_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  project TEXT NOT NULL,
  name TEXT NOT NULL,
  type TEXT NOT NULL,
  worker_count INTEGER NOT NULL,
  output TEXT CHECK (output IN ('checkpoint')),
  status TEXT NOT NULL CHECK (status IN ('registered', 'running', 'finished')),
  created_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX jobs_by_name ON jobs (project, name, created_at_ms);

CREATE TABLE job_checkpoints (
  job_id TEXT NOT NULL REFERENCES jobs (id),
  position INTEGER NOT NULL,
  checkpoint_id TEXT NOT NULL,
  checkpoint_name TEXT NOT NULL,        -- as it was when the job was registered
  directory TEXT NOT NULL,              -- '' where it is the whole checkpoint directory
  PRIMARY KEY (job_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_checkpoints_by_checkpoint ON job_checkpoints (checkpoint_id);

CREATE TABLE workers (
  job_id TEXT NOT NULL REFERENCES jobs (id),
  worker INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('registered', 'mounting', 'mounted', 'finishing', 'finished')),
  has_output INTEGER NOT NULL DEFAULT 0, -- an output directory was asked for and may exist
  outcome TEXT,
  exit_code INTEGER,
  discard_output INTEGER NOT NULL DEFAULT 0,
  output_checkpoint_id TEXT,
  output_kept_until_ms INTEGER,         -- the output directory stays until then
  error TEXT,                           -- JSON ErrorRecord
  held_by TEXT,                         -- JSON array of holders
  mounted_at_ms INTEGER,
  PRIMARY KEY (job_id, worker)
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
  job_id TEXT NOT NULL,
  worker INTEGER NOT NULL,
  view_id INTEGER NOT NULL REFERENCES views (id),
  boot_id TEXT NOT NULL,
  PRIMARY KEY (job_id, worker, view_id),
  FOREIGN KEY (job_id, worker) REFERENCES workers (job_id, worker)
) STRICT, WITHOUT ROWID;
CREATE INDEX leases_by_view ON leases (view_id);
`
