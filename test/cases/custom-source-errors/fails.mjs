export default process.env.NOWHERE.length
