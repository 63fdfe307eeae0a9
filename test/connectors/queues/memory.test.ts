import memory from '../../../connectors/queues/memory.ts'
import { queueContract } from '../../contract/queue.ts'

queueContract('memory', memory.create)
