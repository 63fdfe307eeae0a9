// What people call a message.

/** Its name in errors, and the id of its record. */
export const idOf = (topic: string, partition: number, offset: number | ''): string => `${topic}/${partition}/${offset}`
