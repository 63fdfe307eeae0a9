-- A small shop, for examples/sqlite-source.yml.
CREATE TABLE orders (
  id INTEGER PRIMARY KEY,
  customer TEXT NOT NULL,
  total REAL NOT NULL,
  paid_cents INTEGER,
  updated_at TEXT NOT NULL
);
INSERT INTO orders VALUES
  (1, 'Ada', 19.9, 1990, '2026-03-01T09:00:00.000001Z'),
  (2, 'Grace', 250.0, NULL, '2026-03-01T09:05:00Z'),
  (3, 'Zoë', 0.1, 9007199254740993, '2026-03-02T11:30:00Z');
