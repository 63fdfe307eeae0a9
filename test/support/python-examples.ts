// The two examples of the specification: the smallest pipeline file, and one with every block.

export const SMALLEST = `name: tiny
source:
  name: pokeapi
  stream: berry
destination:
  name: logger
  config: {}
`

export const EVERY_BLOCK = `name: shop-orders-to-warehouse

source:
  name: kafka
  stream: topic
  sync_mode: stream
  bootstrap_servers: broker-1.shop.example:9093
  group_id: shop-loader
  batch_size: 500
  max_iterations: 200
  force_ignore_checkpoint: false
  authentication:
    type: basic
    params:
      username: loader
      password: \${env://SHOP_KAFKA_PASSWORD}

transforms:
  - label: tag-region
    python: |
      data['region'] = 'north'

destination:
  name: bigquery_streaming_v2
  config:
    project_id: shop-prod
    dataset_id: raw
    dataset_location: EU
    buffer_size: 20
    buffer_flush_timeout: 120
    max_concurrent_threads: 4
    unnest: true
    time_partitioning:
      type: HOUR
      field: received_at

streams:
  - name: orders
    source:
      topic: shop.orders
    destination:
      table_id: shop-prod.raw.orders
      clustering_keys: [order_id]
      record_schema:
        - {name: order_id, type: INTEGER, mode: REQUIRED}
        - {name: region, type: STRING, mode: NULLABLE}
        - {name: received_at, type: TIMESTAMP, mode: NULLABLE}
  - name: refunds
    source:
      topic: shop.refunds
    destination:
      table_id: shop-prod.raw.refunds
      record_schema:
        - {name: refund_id, type: INTEGER, mode: REQUIRED}
        - {name: received_at, type: TIMESTAMP, mode: NULLABLE, default_value_expression: CURRENT_TIMESTAMP()}

engine:
  backend:
    type: postgres
    config:
      host: state.shop.example
      port: 5432
      database: bizon_state
      schema: public
      username: bizon
      password: gsm://bizon-state-password/versions/4
      syncCursorInDBEvery: 5
      echoEngine: false
  queue:
    type: python_queue
    config:
      max_nb_messages: 250000
      queue:
        max_size: 50
      consumer:
        poll_interval: 1
  runner:
    type: stream
    log_level: DEBUG
    config:
      max_workers: 2
      consumer_start_delay: 1
      is_alive_check_interval: 1

alerting:
  type: slack
  log_levels: [ERROR]
  config:
    webhook_url: env://SHOP_SLACK_WEBHOOK

monitoring:
  type: datadog
  config:
    enable_tracing: true
    datadog_agent_host: 10.0.0.9
    datadog_host_env_var: DD_AGENT_HOST
    datadog_agent_port: 8125
    tags:
      team: shop

secrets:
  gsm:
    project_id: shop-secrets
`
