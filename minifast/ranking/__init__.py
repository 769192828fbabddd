"""Models that learn to rank items, and measures of the lists that they recommend."""
from .autoencoder import Autoencoder as Autoencoder, UserLoader as UserLoader
from .autoencoder import rank_learner as rank_learner
from .evaluate import evaluate_ranking as evaluate_ranking, item_mean as item_mean
from .evaluate import most_popular as most_popular
from .losses import bpr_loss as bpr_loss, multinomial_loss as multinomial_loss
from .losses import sampled_softmax_loss as sampled_softmax_loss
from .metrics import average_precision_at_k as average_precision_at_k
from .metrics import hit_rate_at_k as hit_rate_at_k, ndcg_at_k as ndcg_at_k
from .metrics import precision_at_k as precision_at_k, recall_at_k as recall_at_k, top_k as top_k
from .popularity import PopularityAware as PopularityAware, popularity_aware as popularity_aware
from .rows import ItemsOfUsers as ItemsOfUsers, items_of_users as items_of_users
from .sampler import NegativeSampler as NegativeSampler, bpr_learner as bpr_learner
